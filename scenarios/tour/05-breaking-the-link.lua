-- `c.link` breaks a client's connection. The result code tells how far the message had got.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("a reset while a PUBACK is due leaves the operation incomplete", function(t)
  local peer = t:peer()                       -- a scripted broker: a good one, until told otherwise
  peer.down:on("PUBACK"):drop()               -- from now on it never acknowledges
  local client = t:connect { broker = peer }

  local token = client:send("tour/link", "hello", { qos = 1 })
  client:wait_sent("PUBLISH")
  client.link:rst()

  expect(token:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(client:wait_lost()):equals(-1)
end)
