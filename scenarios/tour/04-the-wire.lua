-- Every packet on the wire can be waited for, and looked at.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

scenario("a QoS 2 exchange, packet by packet", function(t)
  local client = t:connect()
  client:publish("tour/wire", "hello", { qos = 2 })

  local publish = client:wait_sent("PUBLISH", { topic = "tour/wire" })
  expect(publish.qos):equals(2)
  expect(publish.dup):is_false()
  client:wait_received("PUBREC", { packet_id = publish.packet_id })
  client:wait_sent("PUBREL", { packet_id = publish.packet_id })
  client:wait_received("PUBCOMP", { packet_id = publish.packet_id })
end)
