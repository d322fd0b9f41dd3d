-- subscribe and unsubscribe: 0 or an error code at once, then the callback: what was granted, or a negative code.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

for qos = 0, 2 do
  scenario(("one topic, QoS %d: the granted mode is a number"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    local mode = t:await(function(done)
      expect(c.mqtt:subscribe("codes/subscribe", qos, done)):equals(0)
    end)
    expect(mode):equals(qos)
    c:publish("codes/subscribe", "x", { qos = 2 })
    expect(c:next_message().qos):equals(qos)
  end)
end

scenario("without a QoS it is 0", { tags = "result-codes" }, function(t)
  local c = t:connect()
  expect(c.mqtt:subscribe("codes/subscribe")):equals(0)
  expect(c:wait_sent("SUBSCRIBE").subscriptions[1].qos):equals(0)
  c:wait_received("SUBACK")
end)

scenario("an array of topics: an array of modes", { tags = "result-codes" }, function(t)
  local c = t:connect()
  expect(c:subscribe({ "a", "b/+", "c/#" }, 1)):equals { 1, 1, 1 }
  expect(c:subscribe({ "a", "b/+", "c/#" }, { 0, 1, 2 })):equals { 0, 1, 2 }
  expect(c:subscribe({ "a" }, 2)):equals { 2 }
end)

scenario("1 to 10 topics, others raise", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local topics = {}
  for i = 1, 10 do
    topics[i] = "codes/" .. i
  end
  expect(#c:subscribe(topics, 1)):equals(10)
  expect(c:unsubscribe(topics)):equals(0)
  topics[11] = "codes/11"
  for _, list in ipairs { {}, topics } do
    expect(function() c.mqtt:subscribe(list, 1) end):raises("1 to 10")
    expect(function() c.mqtt:unsubscribe(list) end):raises("1 to 10")
  end
end)

scenario("a bad filter or QoS raises", { tags = "result-codes" }, function(t)
  local c = t:connect()
  for _, filter in ipairs { "", "a/#/b", "a#", "+a", "a\0b", "\xff", ("x"):rep(65536) } do
    expect(function() c.mqtt:subscribe(filter, 0) end):raises()
    expect(function() c.mqtt:unsubscribe(filter) end):raises()
  end
  for _, qos in ipairs { -1, 3, 0.5 } do
    expect(function() c.mqtt:subscribe("a", qos) end):raises("qos")
  end
end)

scenario("a refused topic is 128, beside granted ones", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer:on("SUBSCRIBE", function(conn, packet)
    local codes = {}
    for i, item in ipairs(packet.subscriptions) do
      codes[i] = item.filter == "secret" and 128 or 0
    end
    conn:send("SUBACK", { packet_id = packet.packet_id, reason_codes = codes })
  end)
  local c = t:connect { broker = peer }
  expect(c:try_subscribe("secret", 1)):equals(128)
  expect(c:try_subscribe({ "open", "secret" }, 1)):equals { 0, 128 }
  expect(function() c:subscribe("secret", 1) end):raises("refused")
end)

scenario("a mode less than asked for is told as it is", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer:on("SUBSCRIBE", function(conn, packet)
    conn:send("SUBACK", { packet_id = packet.packet_id, reason_codes = { 0 } })
  end)
  expect(t:connect { broker = peer }:subscribe("a", 2)):equals(0)
end)

scenario("a SUBACK with another number of codes: -4, the operation fails", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer:on("SUBSCRIBE", function(conn, packet)
    conn:send("SUBACK", { packet_id = packet.packet_id, reason_codes = { 0, 0 } })
  end)
  local c = t:connect { broker = peer }
  expect(c:try_subscribe("a", 1)):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(c:wait_lost()):equals(-4)
end)

scenario("not connected: a code at once, and no callback", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  local called = false
  local function never() called = true end
  expect(client:subscribe("a", 0, never)):equals(mqtt.ERROR_DISCONNECTED)
  expect(client:unsubscribe("a", never)):equals(mqtt.ERROR_DISCONNECTED)
  t:connect():publish("codes/sentinel", "x", { qos = 1 })
  expect(called):is_false()
end)

-- A subscription whose connection ends gets a negative code; unsubscribe gets -1.
local ends = {
  { "the broker resets", function(_, peer) peer:conn():rst() end },
  { "the broker closes", function(_, peer) peer:conn():close() end },
  { "a packet is malformed", function(_, peer) peer:send_raw("\0\0") end },
  { "the client disconnects", function(c) c:disconnect() end },
  { "the client is closed", function(c) c:close() end },
}
for _, ending in ipairs(ends) do
  scenario(("waiting for SUBACK and UNSUBACK, %s: negative codes, once each"):format(ending[1]),
    { tags = "result-codes" }, function(t)
      local peer = t:peer()
      peer.down:on("SUBACK", "UNSUBACK"):drop()
      local c = t:connect { broker = peer }
      local diary = {}
      for _, topics in ipairs { "a", { "a", "b" } } do
        expect(c.mqtt:subscribe(topics, 1, function(code) diary[#diary + 1] = code end)):equals(0)
      end
      expect(c.mqtt:unsubscribe("a", function(code) diary[#diary + 1] = code end)):equals(0)
      t:wait(function() return #peer:received("UNSUBSCRIBE") == 1 end)
      ending[2](c, peer)
      t:wait(function() return #diary == 3 end)
      expect(diary):equals { mqtt.ERROR_OPERATION_INCOMPLETE, mqtt.ERROR_OPERATION_INCOMPLETE, mqtt.FAILURE }
    end)
end

scenario("cut while it is being written: -1", { tags = "result-codes" }, function(t)
  for _, cut in ipairs { 1, 5, -1 } do
    local c = t:connect()
    c.link.up:on("SUBSCRIBE"):at_byte(cut):rst()
    expect(c:try_subscribe("codes/subscribe", 1)):equals(mqtt.FAILURE)
    expect(c:wait_lost()):equals(-1)
  end
end)

scenario("the callback comes after subscribe has returned", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local returned, inside = false, nil
  t:await(function(done)
    c.mqtt:subscribe("codes/subscribe", 1, function()
      inside = returned
      done()
    end)
    returned = true
  end)
  expect(inside):is_true()
end)

scenario("unsubscribe: 0, and nothing more comes", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c:subscribe({ "codes/off", "codes/on" }, 1)
  expect(t:await(function(done) expect(c.mqtt:unsubscribe("codes/off", done)):equals(0) end)):equals(0)
  expect(c:unsubscribe("codes/never subscribed")):equals(0)
  c:publish("codes/off", "x", { qos = 1 })
  c:publish("codes/on", "y", { qos = 1 })
  expect(c:next_message().payload):equals("y")
end)

scenario("with a kept session a lost connection fails them all the same", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local dropped = peer.down:on("SUBACK"):drop()
  local c = t:connect { broker = peer, clean = false }
  local code
  c.mqtt:subscribe("a", 1, function(mode) code = mode end)
  t:wait(function() return dropped.seen == 1 end)
  c.link:rst()
  c:wait_lost()
  expect(code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
end)

scenario("requests keep their place among the messages", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  c.link:stall()
  c:send("codes/first", "x", { qos = 1 })
  c.mqtt:subscribe("codes/second", 1)
  local last = c:send("codes/third", "x", { qos = 1 })
  c.link:resume()
  expect(last:wait()):equals(0)
  local types = {}
  for i, packet in ipairs(peer:conn():received()) do
    types[i] = packet.type
  end
  expect(types):equals { "CONNECT", "PUBLISH", "SUBSCRIBE", "PUBLISH" }
end)
