-- PINGREQ when nothing was sent for `keepalive` seconds; no PINGRESP within `keepalive` (at most 30 s): lost, -1. The
-- shortest keepalive is a second, and so these scenarios take that long.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("an idle client sends PINGREQ, and stays connected when it is answered", { tags = "result-codes" }, function(t)
  local c = t:connect { keepalive = 2 }  -- with 1 a mosquitto, which counts whole seconds, may close before
  local began = t:now()
  c:wait_sent("PINGREQ")
  expect(t:now() - began):is_between(1.9, 2.9)
  c:wait_received("PINGRESP")
  c:wait_sent("PINGREQ")
  expect(t:now() - began):is_between(3.9, 5)
  c:wait_received("PINGRESP")
  expect(c:try_publish("codes/keepalive", "x", { qos = 1 })):equals(mqtt.SUCCESS)
end)

scenario("a client that sends needs no PINGREQ", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer, keepalive = 1 }
  for _ = 1, 5 do
    t:sleep("300ms")
    c:publish("codes/keepalive", "x")
  end
  c:wait_received("PINGRESP")
  local types = {}
  for i, packet in ipairs(peer:received()) do
    types[i] = packet.type
  end
  expect(types):equals { "CONNECT", "PUBLISH", "PUBLISH", "PUBLISH", "PUBLISH", "PUBLISH", "PINGREQ" }
end)

scenario("keepalive 0: no PINGREQ", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  t:connect { broker = peer, keepalive = 0 }
  local other = t:connect { broker = peer, keepalive = 1 }
  other:wait_received("PINGRESP")
  expect(#peer:received("PINGREQ")):equals(1)
end)

scenario("no PINGRESP: lost with -1, and each message gets what it had got to", { tags = "result-codes" }, function(t)
  local big = ("x"):rep(8 << 20)
  local peer, full = t:peer(), t:peer()
  peer.down:on("PINGRESP", "PUBACK", "PUBREC"):drop()
  local c = t:connect { broker = peer, keepalive = 1, maxinflight = 2 }
  local tokens = {}
  for i, qos in ipairs { 1, 2, 1, 0 } do
    tokens[i] = c:send("codes/keepalive", "x", { qos = qos })
  end
  local began = t:now()
  -- Another one, whose broker does not read: it cannot even send its PINGREQ.
  local stuck = t:connect { broker = full, keepalive = 1, maxmessage = #big }
  full:pause()
  local cut, behind = stuck:send("codes/keepalive", big, { qos = 1 }), stuck:send("codes/keepalive", "x", { qos = 1 })

  expect(c:wait_lost()):equals(-1)
  expect(t:now() - began):is_between(1.8, 3.5)
  for i, code in ipairs { -11, -11, -3, -3 } do
    expect(tokens[i].code):equals(code)
  end
  expect(stuck:wait_lost()):equals(-1)
  expect(cut.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(behind.code):equals(mqtt.ERROR_DISCONNECTED)
end)

scenario("a broker that stops (as a stopped process does) is noticed by keepalive", { tags = "result-codes" },
  function(t)
    local c = t:connect { keepalive = 1 }
    t.broker:pause()
    local token = c:send("codes/keepalive", "x", { qos = 1 })
    expect(c:wait_lost()):equals(-1)
    expect(token.code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    t.broker:resume()
    expect(c:try_connect()):equals(0)
  end)
