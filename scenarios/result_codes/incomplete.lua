-- -11: fully written, and the handshake was cut short; or cut mid-write by an end that was no socket error. Whether it
-- reached the broker is unknown. The cells are in table.lua; here are the corners.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("the broker has it all the same: -11 says unknown, not lost", { tags = "result-codes" }, function(t)
  local reader = t:connect()
  reader:subscribe("codes/incomplete", 1)
  local c = t:connect()
  c.link.down:on("PUBACK"):rst()
  expect(c:try_publish("codes/incomplete", "arrived", { qos = 1 })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(reader:next_message().payload):equals("arrived")
end)

-- Every answer of the broker is a place where the handshake can be cut.
for _, place in ipairs { { 1, "PUBACK" }, { 2, "PUBREC" }, { 2, "PUBCOMP" } } do
  local qos, packet = place[1], place[2]
  for _, verb in ipairs { "rst", "fin", "close" } do
    scenario(("QoS %d: %s in place of the %s: -11"):format(qos, verb, packet), { tags = "result-codes" }, function(t)
      local c = t:connect()
      local rule = c.link.down:on(packet)
      rule[verb](rule)
      expect(c:try_publish("codes/incomplete", "x", { qos = qos })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
      expect(c:wait_lost()):equals(-1)
    end)
  end

  scenario(("QoS %d: half of a %s is no %s: -11"):format(qos, packet, packet), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c.link.down:on(packet):at_byte(3):rst()
    expect(c:try_publish("codes/incomplete", "x", { qos = qos })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(c:wait_lost()):equals(-1)
  end)
end

scenario("QoS 2: the PUBREL is cut: -11, the message itself was written long ago", { tags = "result-codes" },
  function(t)
    local c = t:connect()
    c.link.up:on("PUBREL"):at_byte(2):rst()
    expect(c:try_publish("codes/incomplete", "x", { qos = 2 })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(c:wait_lost()):equals(-1)
  end)

scenario("disconnect while the transport takes nothing: given up after a second", { tags = "result-codes" }, function(t)
  local codes = {}
  local tasks = {}
  for qos = 0, 2 do
    tasks[#tasks + 1] = t:spawn(function()
      local peer = t:peer()
      local c = t:connect { broker = peer, maxmessage = 8 << 20 }
      peer.up:on("bytes"):stall()
      local cut = c:send("t", ("x"):rep(8 << 20), { qos = qos })
      local behind = c:send("t", "x", { qos = qos })
      t:wait(function() return c.inflight == 1 end)
      c:disconnect()
      codes[qos] = { cut.code, behind.code }
    end)
  end
  for _, task in ipairs(tasks) do
    task:join { within = 10 } -- megabytes over three connections
  end
  for qos = 0, 2 do
    expect(codes[qos]):equals { mqtt.ERROR_OPERATION_INCOMPLETE, mqtt.ERROR_DISCONNECTED }
  end
end)

for qos = 1, 2 do
  scenario(("QoS %d: disconnect waits for no acknowledgement: -11"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c.link.down:on("PUBACK", "PUBREC"):drop()
    local token = c:send("codes/incomplete", "x", { qos = qos })
    c:wait_sent("PUBLISH")
    c:disconnect()
    expect(token.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    c:wait_sent("DISCONNECT")
  end)
end

scenario("what was encoded before disconnect was called still goes out", { tags = "result-codes" }, function(t)
  local reader = t:connect()
  reader:subscribe("codes/last", 1)
  local c = t:connect()
  local token = c:send("codes/last", "the last words")
  c:disconnect()
  expect(token.code):equals(0)
  expect(reader:next_message().payload):equals("the last words")
end)

scenario("nothing is failed for age: a message waits as long as it takes", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):hold()
  local c = t:connect { broker = peer }
  local oldest = c:send("codes/old", "x", { qos = 1 })
  for _ = 1, 200 do
    c:publish("codes/old", "x", { qos = 2 })
  end
  expect(oldest.code):is_nil()
  held:release()
  expect(oldest:wait()):equals(0)
end)
