-- 65,535 messages in flight take every packet identifier. The next send is refused; one acknowledgement makes room for one.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("the 65,536th message in flight is refused", { tags = { "full-scale" } }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):hold()
  local client = t:connect { broker = peer }

  local first = client:send("tour/ids", "x", { qos = 1 })
  for _ = 2, 65535 do
    client:send("tour/ids", "x", { qos = 1 })
  end
  t:wait(function() return held.seen == 65535 end)
  expect(client.inflight):equals(65535)
  expect(client:try_publish("tour/ids", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)

  held:release(1)
  expect(first:wait()):equals(mqtt.SUCCESS)
  local next_one = client:send("tour/ids", "x", { qos = 1 })
  expect(next_one.packet_id):equals(1)
  expect(next_one.code):is_nil()
end)
