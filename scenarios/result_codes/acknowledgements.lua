-- An acknowledgement that does not fit never completes a message. What is malformed loses the connection with -4.
local rig = require "mqrig"
local mqtt, scenario, expect, fault = rig.mqtt, rig.scenario, rig.expect, rig.fault

-- A broker that takes messages and answers nothing by itself.
local function silent_peer(t, options)
  local peer = t:peer()
  peer:on("PUBLISH", function() end)
  peer:on("PUBREL", function() end)
  local c = t:connect { broker = peer, clean = options and options.clean }
  return peer, c
end

-- Everything that the peer has sent before was looked at by the client.
local function settle(peer, c)
  peer:send("PUBLISH", { topic = "codes/sentinel", payload = "seen" })
  expect(c:next_message().payload):equals("seen")
end

local wrong = {
  { 1, "PUBREC" }, { 1, "PUBCOMP" }, { 1, "SUBACK", { reason_codes = { 0 } } }, { 1, "UNSUBACK" },
  { 2, "PUBACK" }, { 2, "PUBCOMP" }, { 2, "SUBACK", { reason_codes = { 0 } } }, { 2, "UNSUBACK" },
}
for _, case in ipairs(wrong) do
  local qos, answer, fields = case[1], case[2], case[3]
  scenario(("QoS %d: a %s does not complete it"):format(qos, answer), { tags = "result-codes" }, function(t)
    local peer, c = silent_peer(t)
    local token = c:send("codes/acks", "x", { qos = qos })
    c:wait_sent("PUBLISH")
    fields = fields or {}
    fields.packet_id = token.packet_id
    peer:send(answer, fields)
    settle(peer, c)
    expect(token.code):is_nil()
    expect(c.inflight):equals(1)

    if qos == 2 then
      peer:send("PUBREC", { packet_id = token.packet_id })
      c:wait_sent("PUBREL")
    end
    peer:send(qos == 1 and "PUBACK" or "PUBCOMP", { packet_id = token.packet_id })
    expect(token:wait()):equals(mqtt.SUCCESS)
  end)
end

scenario("QoS 2: after PUBREC a PUBACK does not complete it, and a second PUBREC is answered again",
  { tags = "result-codes" }, function(t)
    local peer, c = silent_peer(t)
    local token = c:send("codes/acks", "x", { qos = 2 })
    for _ = 1, 2 do
      peer:send("PUBREC", { packet_id = 1 })
      c:wait_sent("PUBREL", { packet_id = 1 })
    end
    peer:send("PUBACK", { packet_id = 1 })
    settle(peer, c)
    expect(token.code):is_nil()
    peer:send("PUBCOMP", { packet_id = 1 })
    expect(token:wait()):equals(mqtt.SUCCESS)
  end)

for _, answer in ipairs { "PUBACK", "PUBREC", "PUBCOMP", "UNSUBACK" } do
  scenario(("a %s for an unknown identifier is counted, and harmless"):format(answer), { tags = "result-codes" },
    function(t)
      local peer, c = silent_peer(t)
      local token = c:send("codes/acks", "x", { qos = 1 })
      c:wait_sent("PUBLISH")
      for _, id in ipairs { 2, 77, 65535 } do
        peer:send(answer, { packet_id = id })
      end
      settle(peer, c)
      expect(c.unknown_acks):equals(3)
      expect(token.code):is_nil()
      peer:send("PUBACK", { packet_id = 1 })
      expect(token:wait()):equals(mqtt.SUCCESS)
    end)
end

scenario("a second PUBACK completes nothing: not the next message, not the same again", { tags = "result-codes" },
  function(t)
    local peer, c = silent_peer(t)
    local calls = 0
    c.mqtt:createmessage("codes/acks", "x", { qos = 1 }):sendasync(function() calls = calls + 1 end)
    local next_one = c:send("codes/acks", "y", { qos = 1 })
    c:wait_sent("PUBLISH", { packet_id = 2 })
    for _ = 1, 3 do
      peer:send("PUBACK", { packet_id = 1 })
    end
    settle(peer, c)
    expect(calls):equals(1)
    expect(next_one.code):is_nil()
    c:close()
    expect(calls):equals(1)
    expect(next_one.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  end)

scenario("acknowledgements in any order complete the messages that they name", { tags = "result-codes" }, function(t)
  local peer, c = silent_peer(t)
  local tokens = {}
  for i = 1, 4 do
    tokens[i] = c:send("codes/acks", "x", { qos = 1 })
  end
  t:wait(function() return #peer:received("PUBLISH") == 4 end)
  for done, id in ipairs { 3, 1, 4, 2 } do
    peer:send("PUBACK", { packet_id = id })
    expect(tokens[id]:wait()):equals(mqtt.SUCCESS)
    expect(c.inflight):equals(4 - done)
  end
  expect(c.inflight):equals(0)
end)

scenario("an answer to a message that is not completely written does not fit", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer, maxmessage = 8 << 20 }
  local stalled = peer.up:on("bytes"):stall()
  local token = c:send("codes/acks", ("x"):rep(8 << 20), { qos = 1 })
  t:wait(function() return c.inflight == 1 end)
  peer:send("PUBACK", { packet_id = 1 })
  settle(peer, c)
  expect(token.code):is_nil()
  stalled:off()
  expect(token:wait()):equals(mqtt.SUCCESS)
end)

-- Acknowledgements that the kernel has received when the reset arrives are honoured first.
for _, verb in ipairs { "rst", "fin", "close" } do
  for qos = 1, 2 do
    scenario(("QoS %d: what was acknowledged before a %s is a success"):format(qos, verb), { tags = "result-codes" },
      function(t)
        local peer, c = silent_peer(t)
        local tokens = {}
        for i = 1, 20 do
          tokens[i] = c:send("codes/acks", "x", { qos = qos })
        end
        t:wait(function() return #peer:received("PUBLISH") == 20 end)
        if qos == 2 then
          for id = 1, 20 do
            peer:send("PUBREC", { packet_id = id })
          end
          t:wait(function() return #peer:received("PUBREL") == 20 end)
        end
        c.link:stall() -- the client looks away
        local conn = peer:conn()
        for id = 1, 19 do
          peer:send(qos == 1 and "PUBACK" or "PUBCOMP", { packet_id = id })
        end
        conn[verb](conn)
        t:wait(function() return not conn.is_open or verb == "fin" end)
        expect(tokens[1].code):is_nil()
        c.link:resume()
        expect(c:wait_lost()):equals(-1)
        for id = 1, 19 do
          expect(tokens[id].code):equals(mqtt.SUCCESS)
        end
        expect(tokens[20].code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
      end)
  end
end

scenario("also when the client is busy writing and its write is what fails", { tags = "result-codes" }, function(t)
  local peer, c = silent_peer(t)
  local first = c:send("codes/acks", "x", { qos = 1 })
  t:wait(function() return #peer:received("PUBLISH") == 1 end)
  c.link:stall()
  local conn = peer:conn()
  peer:send("PUBACK", { packet_id = 1 })
  conn:rst()
  t:wait(function() return not conn.is_open end)
  t:sleep(0.05) -- the reset is on its way, and a client that does not read does not notice it
  local second = c:send("codes/acks", "y", { qos = 1 })
  c.link:resume()
  expect(c:wait_lost()):equals(-1)
  expect(first.code):equals(mqtt.SUCCESS)
  expect(second.code):is_one_of { mqtt.FAILURE, mqtt.ERROR_DISCONNECTED }
end)

-- Malformed and out-of-place packets: the connection is lost with -4, and nothing is completed by them.
local bad = {
  { "PUBACK with flags", "41 r2 m1" },
  { "PUBACK one byte too long", "40 r3 m1 00" },
  { "PUBACK one byte too short", "40 r1 00" },
  { "PUBACK without a body", "40 r0" },
  { "PUBACK with identifier 0", "40 r2 m0" },
  { "PUBREC with flags", "52 r2 m1" },
  { "PUBREC too long", "50 r3 m1 00" },
  { "PUBREL without its flags", "60 r2 m1" },
  { "PUBREL with identifier 0", "62 r2 m0" },
  { "PUBCOMP with flags", "71 r2 m1" },
  { "PUBCOMP too short", "70 r1 00" },
  { "SUBACK with flags", "91 r3 m1 00" },
  { "SUBACK without codes", "90 r2 m1" },
  { "SUBACK with a code that there is not", "90 r3 m1 03" },
  { "UNSUBACK with flags", "b1 r2 m1" },
  { "UNSUBACK with a payload", "b0 r3 m1 00" },
  { "PINGRESP with flags", "d1 r0" },
  { "PINGRESP with a body", "d0 r1 00" },
  { "CONNACK, the second one", "20 r2 00 00" },
  { "PUBLISH with QoS 3", 'b"\\x36" r5 s"t" m1' },
  { "PUBLISH with DUP at QoS 0", '38 r3 s"t"' },
  { "PUBLISH with identifier 0", '32 r5 s"t" m0' },
  { "PUBLISH without a topic", "30 r2 m0" },
  { "PUBLISH to a wildcard", '30 r5 s"a/#"' },
  { "PUBLISH to a topic with U+0000", '30 r5 s"a\\x00b"' },
  { "PUBLISH to a topic that is no UTF-8", '30 r4 s"\\xc3\\x28"' },
  { "PUBLISH whose topic is longer than it", "30 r3 m9 61" },
  { "PUBLISH without room for its identifier", '32 r3 s"t"' },
  { "CONNECT", '10 r13 s"MQTT" 04 02 003c s"x"' },
  { "SUBSCRIBE", '82 r6 m1 s"t" 00' },
  { "UNSUBSCRIBE", 'a2 r5 m1 s"t"' },
  { "PINGREQ", "c0 r0" },
  { "DISCONNECT", "e0 r0" },
  { "packet type 0", "00 r0" },
  { "packet type 15", "f0 r0" },
  { "a remaining length of five bytes", "40 ffffffff01" },
}
for _, case in ipairs(bad) do
  scenario(("from the broker: %s: -4"):format(case[1]), { tags = "result-codes" }, function(t)
    local peer, c = silent_peer(t)
    local once, twice = c:send("codes/acks", "x", { qos = 1 }), c:send("codes/acks", "x", { qos = 2 })
    c:wait_sent("PUBLISH", { packet_id = 2 })
    peer:send_raw(fault.raw(case[2]))
    expect(c:wait_lost()):equals(-4)
    expect(once.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(twice.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(c:messages()):equals {}
  end)
end

scenario("what stands before a malformed packet counts, what stands behind it does not", { tags = "result-codes" },
  function(t)
    local peer, c = silent_peer(t)
    local before, behind = c:send("codes/acks", "x", { qos = 1 }), c:send("codes/acks", "x", { qos = 1 })
    c:wait_sent("PUBLISH", { packet_id = 2 })
    peer:send_raw(fault.raw "40 r2 m1  41 r2 m1  40 r2 m2")
    expect(c:wait_lost()):equals(-4)
    expect(before.code):equals(mqtt.SUCCESS)
    expect(behind.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  end)

scenario("a PUBACK that comes byte by byte is as good as one in one piece", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c.link.down:on("PUBACK"):split(1, "1ms")
  expect(c:try_publish("codes/acks", "x", { qos = 1 })):equals(mqtt.SUCCESS)
end)
