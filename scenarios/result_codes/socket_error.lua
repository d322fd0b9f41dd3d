-- -1: the transport failed while the message was being written: some of its bytes were handed over, or its own write
-- was the one that failed. The broker has a part of it at most. (table.lua has the cells with a broker that does not
-- read; here a rule cuts at a byte.)
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

for qos = 0, 2 do
  -- A PUBLISH of topic "t" with 10 bytes of payload: 15 bytes at QoS 0, 17 with a packet identifier.
  local size = qos == 0 and 15 or 17

  for _, at in ipairs { 1, 2, 3, 7, size - 1 } do
    scenario(("QoS %d: reset after %d of its %d bytes: -1"):format(qos, at, size), { tags = "result-codes" },
      function(t)
        local c = t:connect()
        c.link.up:on("PUBLISH"):at_byte(at):rst()
        local token = c:send("t", "0123456789", { qos = qos })
        local behind = c:send("t", "behind it", { qos = qos })
        expect(token:wait()):equals(mqtt.FAILURE)
        expect(behind:wait()):equals(mqtt.ERROR_DISCONNECTED)
        expect(c:wait_lost()):equals(-1)
      end)
  end

  scenario(("QoS %d: one byte from its end: -1"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c.link.up:on("PUBLISH"):at_byte(-1):rst()
    expect(c:try_publish("t", "0123456789", { qos = qos })):equals(mqtt.FAILURE)
  end)

  scenario(("QoS %d: its own write is the one that fails: -1"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    c.link.up:on("PUBLISH"):before():rst()
    local token = c:send("t", "0123456789", { qos = qos })
    local behind = c:send("t", "behind it", { qos = qos })
    expect(token:wait()):equals(mqtt.FAILURE)
    expect(behind:wait()):equals(mqtt.ERROR_DISCONNECTED)
    expect(c:wait_lost()):equals(-1)
  end)

  scenario(("QoS %d: reset right behind its last byte: it was written"):format(qos), { tags = "result-codes" },
    function(t)
      local c = t:connect()
      c.link.up:on("PUBLISH"):after_packet():rst()
      local token = c:send("t", "0123456789", { qos = qos })
      local behind = c:send("t", "behind it", { qos = qos })
      expect(token:wait()):equals(qos == 0 and mqtt.SUCCESS or mqtt.ERROR_OPERATION_INCOMPLETE)
      expect(behind:wait()):equals(mqtt.ERROR_DISCONNECTED)
    end)

  scenario(("QoS %d: cut at a byte without an error, it is -11: the broker may have closed for any reason"):format(qos),
    { tags = "result-codes" }, function(t)
      local peer = t:peer()
      local c = t:connect { broker = peer, maxmessage = 8 << 20 }
      peer.up:on("bytes"):stall()
      local token = c:send("t", ("x"):rep(8 << 20), { qos = qos })
      t:wait(function() return c.inflight == 1 end)
      peer:conn():fin()
      expect(token:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
      expect(c:wait_lost()):equals(-1)
    end)
end

scenario("those in front of the one that was cut keep what they had got to", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer.down:on("PUBACK", "PUBREC"):drop()
  local c = t:connect { broker = peer }
  c.link.up:on("PUBLISH"):nth(4):at_byte(5):rst()
  local tokens = {}
  for i, qos in ipairs { 0, 1, 2, 1, 0, 1, 2 } do
    tokens[i] = c:send("t", "0123456789", { qos = qos })
  end
  expect(c:wait_lost()):equals(-1)
  local codes = {}
  for i, token in ipairs(tokens) do
    codes[i] = token.code
  end
  expect(codes):equals { 0, -11, -11, -1, -3, -3, -3 }
end)

scenario("the broker never sees a message that was cut", { tags = "result-codes" }, function(t)
  local reader = t:connect()
  reader:subscribe("codes/cut", 2)
  local c = t:connect()
  c.link.up:on("PUBLISH"):at_byte(-1):rst()
  expect(c:try_publish("codes/cut", "one byte is missing", { qos = 0 })):equals(mqtt.FAILURE)
  c:wait_lost()
  reader:publish("codes/cut", "the next one", { qos = 1 })
  expect(reader:next_message().payload):equals("the next one")
end)
