-- createmessage and onmessage.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("createmessage works while disconnected, and the message is sent later", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  local message = client:createmessage("codes/later", "x", { qos = 1 })
  t:await(function(done)
    client:onconnect(done)
    client:connect(t.broker.url, "later")
  end)
  expect(t:await(function(done) message:sendasync(done) end)):equals(0)
end)

local bad = {
  { "invalid UTF-8", "a\xffb" },
  { "a surrogate in UTF-8", "\xed\xa0\x80" },
  { "an overlong form", "\xc0\x80" },
  { "an empty topic", "" },
  { "U+0000", "a\0b" },
  { "the wildcard #", "a/#" },
  { "the wildcard +", "a/+/b" },
  { "a wildcard inside a level", "a+b" },
  { "more than 65,535 bytes", ("x"):rep(65536) },
}
for _, case in ipairs(bad) do
  scenario(("createmessage raises for %s in the topic"):format(case[1]), { tags = "result-codes" }, function(t)
    local client <close> = mqtt.createclient()
    expect(function() client:createmessage(case[2], "x") end):raises("topic")
    expect(function() t:connect():publish(case[2], "x") end):raises("topic")
  end)
end

scenario("createmessage raises for a wrong qos or option", { tags = "result-codes" }, function()
  local client <close> = mqtt.createclient()
  for _, qos in ipairs { -1, 3, 1.5, "one" } do
    expect(function() client:createmessage("a", "x", { qos = qos }) end):raises("qos")
  end
  expect(function() client:createmessage("a", "x", { retian = true }) end):raises("retain")
  expect(function() client:createmessage("a") end):raises()
  expect(function() client:createmessage() end):raises()
end)

scenario("topics as long as they may be, and any UTF-8", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c:subscribe("#", 0)
  for _, topic in ipairs { ("x"):rep(65535), "/", " ", "ü/漢字/🙂", "a//b", "$not/special/at/QoS" } do
    c:publish(topic, "x", { qos = 1 })
    if topic:sub(1, 1) ~= "$" then
      expect(c:next_message().topic == topic):is_true()
    end
  end
end)

scenario("payloads are bytes", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c:subscribe("codes/bytes", 1)
  local all = {}
  for byte = 0, 255 do
    all[#all + 1] = string.char(byte)
  end
  local payload = table.concat(all)
  c:publish("codes/bytes", payload, { qos = 1 })
  expect(c:next_message().payload == payload):is_true()
end)

scenario("onmessage is given topic, message, qos, and retain and dup as 0 or 1", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local client <close> = mqtt.createclient()
  t:await(function(done)
    client:onconnect(done)
    client:connect(peer.url, "reader")
  end)
  local function next_message(fields)
    return t:await(function(done)
      client:onmessage(done)
      peer:send("PUBLISH", fields)
    end)
  end
  expect(next_message { topic = "a", payload = "x" })
    :matches { topic = "a", message = "x", qos = 0, retain = 0, dup = 0 }
  expect(next_message { topic = "a", payload = "", qos = 1, packet_id = 5, retain = true })
    :matches { message = "", qos = 1, retain = 1, dup = 0 }
  expect(next_message { topic = "a", payload = "x", qos = 2, packet_id = 6, dup = true })
    :matches { qos = 2, retain = 0, dup = 1 }
end)

scenario("without onmessage messages are acknowledged all the same", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local client <close> = mqtt.createclient()
  t:await(function(done)
    client:onconnect(done)
    client:connect(peer.url, "deaf")
  end)
  client:onmessage(function() end)
  client:onmessage(nil)
  peer:send("PUBLISH", { topic = "a", payload = "x", qos = 1, packet_id = 9 })
  t:wait(function() return #peer:received("PUBACK") == 1 end)
  expect(peer:received("PUBACK")[1].packet_id):equals(9)
end)

scenario("QoS 1 inbound: every copy is delivered and acknowledged", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  local message = { topic = "a", payload = "x", qos = 1, packet_id = 3 }
  peer:send("PUBLISH", message)
  message.dup = true
  peer:send("PUBLISH", message)
  expect(c:next_message().dup):is_false()
  expect(c:next_message().dup):is_true()
  for _ = 1, 2 do
    c:wait_sent("PUBACK", { packet_id = 3 })
  end
end)

scenario("QoS 2 inbound: copies are acknowledged, one is delivered", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  local message = { topic = "a", payload = "once", qos = 2, packet_id = 3 }
  for _ = 1, 3 do
    peer:send("PUBLISH", message)
    message.dup = true
    c:wait_sent("PUBREC", { packet_id = 3 })
  end
  peer:send("PUBREL", { packet_id = 3 })
  c:wait_sent("PUBCOMP", { packet_id = 3 })
  expect(c:next_message().payload):equals("once")
  expect(c:messages()):equals {}

  -- A second PUBREL is answered; the identifier is free for a new message.
  peer:send("PUBREL", { packet_id = 3 })
  c:wait_sent("PUBCOMP", { packet_id = 3 })
  message.dup, message.payload = false, "new"
  peer:send("PUBLISH", message)
  expect(c:next_message().payload):equals("new")
end)

scenario("QoS 2 inbound: a PUBREL for what never came is answered", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  peer:send("PUBREL", { packet_id = 77 })
  c:wait_sent("PUBCOMP", { packet_id = 77 })
  expect(c.state):equals("connected")
end)

scenario("QoS 2 inbound: many at once, each once, in order", { tags = "result-codes" }, function(t)
  local reader, writer = t:connect(), t:connect()
  reader:subscribe("codes/once", 2)
  local tokens = {}
  for i = 1, 20 do -- mosquitto 2.0.11 never sends what goes beyond its window of 20
    tokens[i] = writer:send("codes/once", tostring(i), { qos = 2 })
  end
  for i = 1, 20 do
    expect(reader:next_message().payload):equals(tostring(i))
  end
  for i = 1, 20 do
    expect(tokens[i]:wait()):equals(0)
  end
  expect(reader:messages()):equals {}
end)

scenario("a message from inside onmessage", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c:subscribe({ "codes/ping", "codes/pong" }, 1)
  c.mqtt:onmessage(function(message)
    if message.topic == "codes/ping" then
      c.mqtt:createmessage("codes/pong", message.message, { qos = 1 }):sendasync()
    end
  end)
  c:publish("codes/ping", "42", { qos = 1 })
  expect(c:next_message().topic):equals("codes/ping")
  expect(c:next_message()):matches { topic = "codes/pong", payload = "42" }
end)
