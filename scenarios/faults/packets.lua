-- Packets that are lost, doubled, out of order, kept back, changed or made up: what a network cannot do to a stream, and
-- a misbehaving client or broker does. All of them act on whole packets.
local rig = require "mqrig"
local mqtt, scenario, expect, fault = rig.mqtt, rig.scenario, rig.expect, rig.fault

local function connected(t)
  local peer = t:peer()
  return t:connect { broker = peer }, peer
end

local function payloads(peer)
  local list = {}
  for i, packet in ipairs(peer:received("PUBLISH")) do
    list[i] = packet.payload
  end
  return table.concat(list, " ")
end

local function send(c, ...)
  for _, payload in ipairs { ... } do
    c:send("faults/packets", payload, { qos = 0 })
  end
  c:publish("faults/packets/end", ".", { qos = 1 })
end

scenario("drop: the packet is not there", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):nth(2):drop()
  send(c, "1", "2", "3")
  expect(payloads(peer)):equals("1 3 .")
end)

scenario("drop: a message whose PUBACK never came waits for ever", function(t)
  local c, peer = connected(t)
  local rule = peer.down:on("PUBACK"):id(1):drop()
  local sent = c:send("faults/packets", "x", { qos = 1 })
  c:publish("faults/packets", "y", { qos = 1 })
  expect(sent.code):is_nil()
  expect(rule.fired):equals(1)
  expect(c.inflight):equals(1)
end)

scenario("dup: copies, not marked as such", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):nth(2):dup(2)
  send(c, "1", "2", "3")
  expect(payloads(peer)):equals("1 2 2 2 3 .")
  for _, packet in ipairs(peer:received("PUBLISH")) do
    expect(packet.dup):is_false()
  end
end)

scenario("dup: a second PUBACK for the same message is counted, and does nothing", function(t)
  local c = connected(t)
  c.link.down:on("PUBACK"):first():dup(1)
  c:publish("faults/packets", "x", { qos = 1 })
  c:publish("faults/packets", "y", { qos = 1 })
  expect(c.inflight):equals(0)
end)

scenario("overtake: the next one comes first", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():overtake()
  send(c, "1", "2", "3")
  expect(payloads(peer)):equals("2 1 3 .")
end)

scenario("overtake: the next so many", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):nth(2):overtake(2)
  send(c, "1", "2", "3", "4")
  expect(payloads(peer)):equals("1 3 4 2 .")
end)

scenario("overtake: acknowledgements in another order", function(t)
  local c = connected(t)
  c.link.down:on("PUBACK"):first():overtake()
  local order = {}
  for i = 1, 2 do
    c.mqtt:createmessage("faults/packets", tostring(i), { qos = 1 }):sendasync(function(code)
      expect(code):equals(mqtt.SUCCESS)
      order[#order + 1] = i
    end)
  end
  t:wait(function() return #order == 2 end)
  expect(order):equals { 2, 1 }
end)

scenario("hold and release: packets wait until they are let go", function(t)
  local c, peer = connected(t)
  local held = c.link.up:on("PUBLISH"):topic("faults/packets"):hold()
  send(c, "1", "2", "3")
  expect(payloads(peer)):equals(".")
  expect(held:release(1)):equals(1)
  t:wait(function() return payloads(peer) == ". 1" end)
  expect(held:release()):equals(2)
  t:wait(function() return payloads(peer) == ". 1 2 3" end)
  send(c, "the rule is over")
  expect(payloads(peer)):equals(". 1 2 3 the rule is over .")
end)

scenario("rewrite: another packet in its place, or none", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):topic("faults/packets"):rewrite(function(packet)
    if packet.payload == "2" then
      return false
    end
    packet.payload = packet.payload .. "!"
  end)
  send(c, "1", "2", "3")
  expect(payloads(peer)):equals("1! 3! .")
end)

scenario("inject: a packet that nobody sent", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():inject { type = "PUBLISH", topic = "made/up", payload = "behind" }
  c.link.up:on("PUBLISH"):first():inject({ type = "PUBLISH", topic = "made/up", payload = "in front" }, "before")
  send(c, "1", "2")
  expect(payloads(peer)):equals("in front 1 behind 2 .")
end)

scenario("inject: bytes in the middle of a packet cost the connection", function(t)
  local c = connected(t)
  c.link.down:on("PUBACK"):first():at_byte(1):inject(fault.raw "ff ff ff ff")
  local sent = c:send("faults/packets", "x", { qos = 1 })
  expect(c:wait_lost()):equals(-4)
  expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
end)
