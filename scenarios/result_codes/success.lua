-- 0: the message reached the broker as far as its QoS promises. QoS 0: its last byte was handed to the transport;
-- QoS 1: PUBACK; QoS 2: PUBCOMP.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

for qos = 0, 2 do
  scenario(("QoS %d: a message is delivered: 0"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c:subscribe("codes/success", 2)
    expect(c:try_publish("codes/success", "hello", { qos = qos })):equals(mqtt.SUCCESS)
    local message = c:next_message()
    expect(message.payload):equals("hello")
    expect(message.qos):equals(qos)
    expect(c.inflight):equals(0)
    expect(c.buffered):equals(0)
  end)

  scenario(("QoS %d: an empty message: 0"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c:subscribe("codes/empty", 2)
    c:publish("codes/empty", "", { qos = qos })
    expect(c:next_message().payload):equals("")
  end)

  scenario(("QoS %d: a message as large as the limit: 0"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c:subscribe("codes/large", 2)
    local payload = ("0123456789abcdef"):rep(262144 // 16)
    c:publish("codes/large", payload, { qos = qos })
    expect(c:next_message().payload == payload):is_true()
  end)
end

scenario("QoS 1: 0 comes with the PUBACK, not before", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local held = c.link.down:on("PUBACK"):hold()
  local token = c:send("codes/success", "x", { qos = 1 })
  t:wait(function() return held.seen == 1 end)
  expect(token.code):is_nil()
  expect(c.inflight):equals(1)
  held:release()
  expect(token:wait()):equals(0)
end)

scenario("QoS 2: 0 comes with the PUBCOMP, not with the PUBREC", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local held = c.link.down:on("PUBCOMP"):hold()
  local token = c:send("codes/success", "x", { qos = 2 })
  t:wait(function() return held.seen == 1 end)
  c:wait_sent("PUBREL", { packet_id = token.packet_id })
  expect(token.code):is_nil()
  held:release()
  expect(token:wait()):equals(0)
end)

-- QoS 0 is over once written: what becomes of the connection afterwards changes nothing.
local ends = {
  { "the link is reset", function(_, c) c.link:rst() end },
  { "the broker closes", function(peer) peer:conn():fin() end },
  { "the broker is killed", function(peer) peer:kill() end },
  { "a packet is malformed", function(peer) peer:send_raw("\0\0") end },
  { "the client disconnects", function(_, c) c:disconnect() end },
  { "the client is closed", function(_, c) c:close() end },
}
for _, ending in ipairs(ends) do
  scenario(("QoS 0: it is written and %s: 0"):format(ending[1]), { tags = "result-codes" }, function(t)
    local peer = t:peer()
    local c = t:connect { broker = peer }
    local token = c:send("codes/success", "x")
    c:wait_sent("PUBLISH")
    ending[2](peer, c)
    expect(token:wait()):equals(0)
  end)
end

scenario("QoS 0 needs no answer: a broker that says nothing is as good", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  peer:pause()
  expect(c:try_publish("codes/success", "x")):equals(0)
end)

scenario("a message object may be sent again: each send is a new publish", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local message = c.mqtt:createmessage("codes/again", "x", { qos = 1 })
  c:subscribe("codes/again", 1)
  local codes = {}
  for i = 1, 3 do
    message:sendasync(function(code) codes[i] = code end)
  end
  t:wait(function() return #codes == 3 end)
  expect(codes):equals { 0, 0, 0 }
  local ids = {}
  for i = 1, 3 do
    c:next_message()
    ids[i] = c:wait_sent("PUBLISH").packet_id
  end
  expect(ids[1] ~= ids[2] and ids[2] ~= ids[3]):is_true()
end)

scenario("a message may be sent without a callback", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c:subscribe("codes/silent", 2)
  for qos = 0, 2 do
    expect(select("#", c.mqtt:createmessage("codes/silent", "x", { qos = qos }):sendasync())):equals(0)
  end
  for _ = 0, 2 do
    c:next_message()
  end
end)

scenario("the retain flag goes with the message", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local message = c.mqtt:createmessage("codes/retained", "kept", { qos = 1, retain = true })
  expect(t:await(function(done) message:sendasync(done) end)):equals(0)
  expect(c:wait_sent("PUBLISH").retain):is_true()
  c:subscribe("codes/retained", 1)
  expect(c:next_message().retain):is_true()
end)
