-- -10: all 65,535 packet identifiers are taken by messages in flight or buffered, or by subscribe and unsubscribe.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local IDS <const> = 65535
local FULL <const> = { "result-codes", "full-scale" }

-- A client whose messages wait behind one that is not acknowledged: each of them takes an identifier.
local function client_with_a_window_of_one(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):hold()
  return t:connect { broker = peer, maxinflight = 1 }, held, peer
end

local function send_many(c, n)
  local tokens = {}
  for i = 1, n do
    tokens[i] = c:send("codes/ids", "x", { qos = 1 })
  end
  return tokens
end

scenario("identifiers start at 1 and go up, for all QoS that have one", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local ids = {}
  for i, qos in ipairs { 1, 2, 0, 1, 0, 2 } do
    ids[i] = c:send("codes/ids", "x", { qos = qos }).packet_id or "none"
  end
  expect(ids):equals { 1, 2, "none", 3, "none", 4 }
end)

scenario("an identifier that is free again is not the next one to be used", { tags = "result-codes" }, function(t)
  local c = t:connect()
  for id = 1, 3 do
    local token = c:send("codes/ids", "x", { qos = 1 })
    expect(token.packet_id):equals(id)
    expect(token:wait()):equals(0)
  end
end)

scenario("65,535 messages in flight: the next one is refused with -10, QoS 0 goes on", { tags = FULL },
  function(t)
    local peer = t:peer()
    local held = peer.down:on("PUBACK"):hold()
    local c = t:connect { broker = peer }
    local tokens = send_many(c, IDS)
    expect(tokens[IDS].packet_id):equals(IDS)
    t:wait(function() return held.seen == IDS end)
    expect(c.inflight):equals(IDS)
    expect(c.buffered):equals(0)

    expect(c:try_publish("codes/ids", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
    expect(c:try_publish("codes/ids", "x", { qos = 2 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
    expect(c:try_publish("codes/ids", "x", { qos = 0 })):equals(mqtt.SUCCESS)

    -- One acknowledgement makes exactly one more send possible, at once.
    for id = 1, 3 do
      held:release(1)
      expect(tokens[id]:wait()):equals(mqtt.SUCCESS)
      local one_more = c:send("codes/ids", "x", { qos = 1 })
      expect(one_more.packet_id):equals(id)
      expect(c:try_publish("codes/ids", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
      expect(one_more.code):is_nil()
    end

    -- A loss gives every one of them its code, and all identifiers back.
    c.link:rst()
    expect(c:wait_lost()):equals(-1)
    for id = 4, IDS do
      if tokens[id].code ~= mqtt.ERROR_OPERATION_INCOMPLETE then expect(tokens[id].code):equals(-11) end
    end
    c:connect()
    expect(c.inflight):equals(0)
    expect(c:send("codes/ids", "x", { qos = 1 }).packet_id):is_between(1, IDS)
  end)

scenario("one more may be sent from inside the callback of the one that was acknowledged", { tags = FULL },
  function(t)
    local c, held = client_with_a_window_of_one(t)
    local message = c.mqtt:createmessage("codes/ids", "x", { qos = 1 })
    local inside
    message:sendasync(function(code)
      expect(code):equals(0)
      message:sendasync(function(refused) inside = refused end)
    end)
    send_many(c, IDS - 1)
    expect(c:try_publish("codes/ids", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
    t:wait(function() return held.seen == 1 end)
    held:release(1)
    t:wait(function() return held.seen == 2 end)
    expect(inside):is_nil()
    expect(c:try_publish("codes/ids", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  end)

scenario("messages that are buffered take identifiers as well", { tags = FULL }, function(t)
  local c = client_with_a_window_of_one(t)
  local tokens = send_many(c, IDS)
  local refused = c:send("codes/ids", "x", { qos = 2 })
  expect(refused.packet_id):is_nil()
  expect(refused:wait()):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  expect(c.inflight):equals(1)
  expect(c.buffered):equals(IDS - 1)
  c:close()
  expect(tokens[1].code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(tokens[2].code):equals(mqtt.ERROR_DISCONNECTED)
  expect(tokens[IDS].code):equals(mqtt.ERROR_DISCONNECTED)
end)

scenario("subscribe and unsubscribe find no identifier either: -10 at once", { tags = FULL }, function(t)
  local c = client_with_a_window_of_one(t)
  send_many(c, IDS)
  local called = false
  local function never() called = true end
  expect(c.mqtt:subscribe("codes/ids", 1, never)):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  expect(c.mqtt:unsubscribe("codes/ids", never)):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  expect(c:try_subscribe("codes/ids", 1)):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  expect(c:try_unsubscribe("codes/ids")):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  expect(c:try_publish("codes/ids", "a sentinel", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  expect(called):is_false()
end)

scenario("a SUBSCRIBE that waits for its SUBACK takes an identifier from the messages", { tags = FULL },
  function(t)
    local c, _, peer = client_with_a_window_of_one(t)
    local suback = peer.down:on("SUBACK"):hold()
    local granted
    expect(c.mqtt:subscribe("codes/ids", 1, function(mode) granted = mode end)):equals(0)
    t:wait(function() return suback.seen == 1 end)
    local tokens = send_many(c, IDS - 1)
    expect(tokens[1].packet_id):equals(2)
    expect(c:try_publish("codes/ids", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)

    suback:release()
    t:wait(function() return granted end)
    expect(c:send("codes/ids", "x", { qos = 1 }).packet_id):equals(1)
  end)

scenario("QoS 2 gives its identifier back with the PUBCOMP, not before", { tags = FULL }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBCOMP"):hold()
  local c = t:connect { broker = peer, maxinflight = 1 }
  local first = c:send("codes/ids", "x", { qos = 2 })
  t:wait(function() return held.seen == 1 end)
  send_many(c, IDS - 1)
  expect(c:try_publish("codes/ids", "x", { qos = 2 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
  held:release(1)
  expect(first:wait()):equals(0)
  expect(c:send("codes/ids", "x", { qos = 2 }).packet_id):equals(1)
end)

scenario("behind 65,535 identifiers wrap, past those in use", { tags = FULL }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):range(1, 2):hold()
  local c = t:connect { broker = peer }
  local one, two = c:send("codes/ids", "x", { qos = 1 }), c:send("codes/ids", "x", { qos = 1 })
  expect(one.packet_id):equals(1)
  expect(two.packet_id):equals(2)
  local last
  for _ = 3, IDS do
    last = c:send("codes/ids", "x", { qos = 1 })
  end
  expect(last.packet_id):equals(IDS)
  expect(last:wait()):equals(0)
  expect(c:send("codes/ids", "x", { qos = 1 }).packet_id):equals(3)
  held:release()
  expect(two:wait()):equals(0)
end)
