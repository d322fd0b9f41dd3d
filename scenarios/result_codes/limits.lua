-- Limits of a client: outrate, inrate, maxmessage, and the imp profile.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("outrate: a send over it raises, and nothing is sent", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer, outrate = { 1, 3 } }
  local message = c.mqtt:createmessage("codes/rate", "x", { qos = 1 })
  local codes = {}
  for i = 1, 3 do
    message:sendasync(function(code) codes[i] = code end)
  end
  local called = false
  for _ = 1, 3 do
    expect(function() message:sendasync(function() called = true end) end):raises("rate limited")
  end
  t:wait(function() return #codes == 3 end)
  expect(codes):equals { 0, 0, 0 }
  expect(called):is_false()
  expect(#peer:received("PUBLISH")):equals(3)
  expect(c.inflight + c.buffered):equals(0)
end)

scenario("outrate: the rate gives sends back as time passes", { tags = "result-codes" }, function(t)
  local c = t:connect { outrate = { 10, 1 } }
  local message = c.mqtt:createmessage("codes/rate", "x")
  message:sendasync()
  expect(function() message:sendasync() end):raises("rate limited")
  local began = t:now()
  t:wait(function() return (pcall(message.sendasync, message)) end)
  expect(t:now() - began):is_at_most(1)
end)

scenario("outrate: not connected comes first", { tags = "result-codes" }, function(t)
  local c = t:connect { outrate = { 1, 1 } }
  local message = c.mqtt:createmessage("codes/rate", "x")
  message:sendasync()
  c:close()
  expect(function() message:sendasync() end):raises("not connected")
end)

scenario("inrate: as many as the burst are taken, one more loses the connection with -2", { tags = "result-codes" },
  function(t)
    local peer = t:peer()
    local c = t:connect { broker = peer, inrate = { 1, 5 } }
    for i = 1, 5 do
      peer:send("PUBLISH", { topic = "codes/rate", payload = tostring(i) })
    end
    for i = 1, 5 do
      expect(c:next_message().payload):equals(tostring(i))
    end
    local token = c:send("codes/rate", "in flight", { qos = 1 })
    peer.down:on("PUBACK"):drop():may_fire()
    expect(c.state):equals("connected")
    peer:send("PUBLISH", { topic = "codes/rate", payload = "6" })
    expect(c:wait_lost()):equals(-2)
    expect(c:messages()):equals {}
    expect(token.code):is_one_of { mqtt.ERROR_DISCONNECTED, mqtt.ERROR_OPERATION_INCOMPLETE }
  end)

for qos = 0, 2 do
  scenario(("QoS %d: maxmessage inbound: as large as it is taken, one byte more is -3"):format(qos),
    { tags = "result-codes" }, function(t)
      local peer = t:peer()
      local c = t:connect { broker = peer, maxmessage = 1000 }
      local message = { topic = "codes/size", payload = ("x"):rep(1000), qos = qos, packet_id = qos > 0 and 1 or nil }
      peer:send("PUBLISH", message)
      expect(#c:next_message().payload):equals(1000)
      message.payload, message.packet_id = ("x"):rep(1001), qos > 0 and 2 or nil
      peer:send("PUBLISH", message)
      expect(c:wait_lost()):equals(-3)
      expect(c:messages()):equals {}
    end)
end

scenario("maxmessage inbound: the limit is the payload's, the topic does not count", { tags = "result-codes" },
  function(t)
    local peer = t:peer()
    local c = t:connect { broker = peer, maxmessage = 10 }
    peer:send("PUBLISH", { topic = ("t"):rep(60000), payload = ("x"):rep(10) })
    expect(#c:next_message().topic):equals(60000)
    peer:send("PUBLISH", { topic = "t", payload = ("x"):rep(11) })
    expect(c:wait_lost()):equals(-3)
  end)

scenario("maxmessage outbound: createmessage raises over the limit", { tags = "result-codes" }, function(t)
  local small <close> = mqtt.createclient { maxmessage = 10 }
  small:createmessage("codes/size", ("x"):rep(10))
  expect(function() small:createmessage("codes/size", ("x"):rep(11)) end):raises("limit")
  local usual <close> = mqtt.createclient()
  usual:createmessage("codes/size", ("x"):rep(262144))
  expect(function() usual:createmessage("codes/size", ("x"):rep(262145)) end):raises("limit")
  local c = t:connect { maxmessage = 1 << 20 }
  expect(c:try_publish("codes/size", ("x"):rep(1 << 20), { qos = 1 })):equals(mqtt.SUCCESS)
end)

scenario("maxinflight: so many are on their way at most, the rest follow as they are acknowledged",
  { tags = "result-codes" }, function(t)
    local peer = t:peer()
    local held = peer.down:on("PUBACK"):hold()
    local c = t:connect { broker = peer, maxinflight = 3 }
    local tokens = {}
    for i = 1, 7 do
      tokens[i] = c:send("codes/window", tostring(i), { qos = 1 })
    end
    for acknowledged = 0, 4 do
      t:wait(function() return held.seen == 3 + acknowledged end)
      expect(c.inflight):equals(3)
      expect(c.buffered):equals(4 - acknowledged)
      held:release(1)
      expect(tokens[acknowledged + 1]:wait()):equals(0)
    end
    held:release()
    expect(tokens[7]:wait()):equals(0)
  end)

-- profile = "imp": the limits of the imp agent.

-- The broker's URL, if that agent could use it.
local function imp_url(t, broker)
  local scheme = broker.url:match "^%a+"
  if scheme ~= "tcp" and scheme ~= "ssl" then
    t:skip("profile imp knows the schemes tcp and ssl, and the broker is reached by " .. scheme)
  end
  return broker.url
end

scenario("imp: keepalive is 0 or 30 to 65535", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient { profile = "imp" }
  local url = imp_url(t, t.broker)
  for _, keepalive in ipairs { 1, 29, -1, 65536 } do
    expect(function() client:connect(url, "imp", { keepalive = keepalive }) end):raises("keepalive")
  end
  for _, keepalive in ipairs { 0, 30, 65535 } do
    expect(t:await(function(done)
      client:onconnect(done)
      client:connect(url, "imp", { keepalive = keepalive })
    end)):equals(0)
    t:await(function(done) client:disconnect(done) end)
  end
end)

scenario("imp: only the schemes tcp and ssl", { tags = "result-codes" }, function()
  local client <close> = mqtt.createclient { profile = "imp" }
  for _, url in ipairs { "mqtt://127.0.0.1:1", "unix:///tmp/x", "ws://127.0.0.1:1", "mqtts://127.0.0.1:1" } do
    expect(function() client:connect(url, "imp") end):raises("tcp and ssl")
  end
end)

scenario("imp: one connected client at a time", { tags = "result-codes" }, function(t)
  local url = imp_url(t, t.broker)
  local first <close>, second = mqtt.createclient { profile = "imp" }, mqtt.createclient { profile = "imp" }
  t:defer(function() second:close() end)
  local function connect(client, id)
    return t:await(function(done)
      client:onconnect(done)
      client:connect(url, id)
    end)
  end
  expect(connect(first, "one")):equals(0)
  expect(function() second:connect(url, "two") end):raises("one connected client")
  t:connect():publish("codes/imp", "others are not concerned", { qos = 1 })
  t:await(function(done) first:disconnect(done) end)
  expect(connect(second, "two")):equals(0)
  expect(function() first:connect(url, "one") end):raises("one connected client")
  second:close()
  expect(connect(first, "one")):equals(0)
end)

scenario("imp: a client that was lost or refused makes room", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local url = imp_url(t, peer)
  local first, second = mqtt.createclient { profile = "imp" }, mqtt.createclient { profile = "imp" }
  t:defer(function()
    first:close()
    second:close()
  end)
  local function connect(client, id)
    return t:await(function(done)
      client:onconnect(done)
      client:connect(url, id)
    end)
  end
  connect(first, "one")
  t:await(function(done)
    first:onconnectionlost(done)
    peer:conn():rst()
  end)
  expect(connect(second, "two")):equals(0)
  second:close()
  peer:on("CONNECT", function(conn) conn:send("CONNACK", { reason_code = 2 }) end)
  expect(connect(first, "one")):equals(2)
  peer:on("CONNECT", nil)
  expect(connect(second, "two")):equals(0)
end)
