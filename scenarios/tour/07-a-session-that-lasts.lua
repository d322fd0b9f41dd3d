-- With clean = false a lost connection fails nothing: what was on its way goes on after the reconnect.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("a message survives a reset and is sent again with DUP", function(t)
  local client = t:connect { clean = false }
  local lost = client.link.down:on("PUBACK"):across():first():drop()   -- the first over all connections, not of each

  local token = client:send("tour/session", "hello", { qos = 1 })
  lost:wait()
  client.link:rst()
  expect(client:wait_lost()):equals(-1)
  expect(token.code):is_nil()

  client:connect()
  expect(token:wait()):equals(mqtt.SUCCESS)
  local again = client:wait_sent("PUBLISH", { dup = true })
  expect(again.packet_id):equals(token.packet_id)
end)
