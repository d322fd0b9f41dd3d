-- Own system calls that fail or come up short: c.sys of a client, peer.sys of a peer, raw.sys of a raw client.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- send

scenario("a send that comes up short goes on where it stopped", function(t)
  local c = t:connect()
  local cut = c.sys:on("send"):first():short(4)
  c:subscribe("a", 1)
  c:publish("a", "hello", { qos = 1 })
  expect(c:next_message().payload):equals "hello"
  expect(cut.fired):equals(1)
end)

scenario("a session whose every byte is a send and a receive of its own", function(t)
  local c = t:client()
  c.sys:on("send", "recv"):short(1):must_fire(50)
  c:connect()
  c:subscribe("a", 2)
  c:publish("a", "hello", { qos = 2 })
  expect(c:next_message().payload):equals "hello"
  c:disconnect()
end)

for _, name in ipairs { "EINTR", "EAGAIN" } do
  scenario("a send is tried again after " .. name, function(t)
    local c = t:connect()
    c.sys:on("send"):range(1, 3):errno(name):must_fire(3)
    expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.SUCCESS)
    expect(c.state):equals "connected"
  end)
end

for _, name in ipairs { "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOBUFS", "ENOMEM" } do
  scenario("a message whose send ends with " .. name .. " has failed, and the connection is lost", function(t)
    local c = t:connect()
    c.sys:on("send"):first():errno(name)
    expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.FAILURE)
    expect(c:wait_lost()):equals(-1)
  end)
end

scenario("a message that was sent in part has failed, the one behind it was never sent", function(t)
  local c = t:connect()
  c.sys:on("send"):first():short(2)
  c.sys:on("send"):nth(2):fail()
  local first, second = c:send("a", "one", { qos = 1 }), c:send("a", "two", { qos = 1 })
  expect(first:wait()):equals(mqtt.FAILURE)
  expect(second:wait()):equals(mqtt.ERROR_DISCONNECTED)
  expect(c:wait_lost()):equals(-1)
end)

scenario("while the socket takes nothing, messages are buffered, and one too many is refused", function(t)
  local c = t:connect { maxbuffered = 2 }
  local full = c.sys:on("send"):errno("EAGAIN")
  local first, second = c:send("a", "one", { qos = 1 }), c:send("a", "two", { qos = 1 })
  expect(c:try_publish("a", "three", { qos = 1 })):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  full:off()
  expect(first:wait()):equals(mqtt.SUCCESS)
  expect(second:wait()):equals(mqtt.SUCCESS)
end)

-- recv

scenario("an acknowledgement that comes byte by byte is one", function(t)
  local c = t:connect()
  local cut = c.sys:on("recv"):short(1)
  expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.SUCCESS)
  expect(cut.fired):is_at_least(4)
end)

for _, name in ipairs { "EINTR", "EAGAIN" } do
  scenario("a receive is tried again after " .. name, function(t)
    local c = t:connect()
    c.sys:on("recv"):range(1, 3):errno(name):must_fire(3)
    expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.SUCCESS)
  end)
end

for _, name in ipairs { "ECONNRESET", "ETIMEDOUT", "ENOMEM" } do
  scenario("what was sent is incomplete when the receive ends with " .. name, function(t)
    local c = t:connect()
    c.sys:on("recv"):first():errno(name)
    expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(c:wait_lost()):equals(-1)
  end)
end

-- socket, connect

for _, name in ipairs { "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL", "ETIMEDOUT" } do
  scenario("a connect that ends with " .. name .. " fails, the next one succeeds", function(t)
    local c = t:client()
    c.sys:on("connect"):first():errno(name)
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(c:try_connect()):equals(mqtt.SUCCESS)
  end)
end

scenario("a connect that is interrupted goes on", function(t)
  local c = t:client()
  c.sys:on("connect"):first():errno "EINTR"
  expect(c:try_connect()):equals(mqtt.SUCCESS)
end)

for _, name in ipairs { "EMFILE", "ENFILE", "ENOBUFS" } do
  scenario("without a socket, " .. name .. ", the connect fails, and the next one succeeds", function(t)
    local c = t:client()
    c.sys:on("socket"):first():errno(name)
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(c:try_connect()):equals(mqtt.SUCCESS)
  end)
end

-- alloc: the memory that any of the calls needs

scenario("no memory for the socket: the connect fails", function(t)
  local c = t:client()
  c.sys:on("alloc"):first():fail()
  expect(c:try_connect()):equals(mqtt.FAILURE)
end)

scenario("no memory for a message that goes out: it has failed", function(t)
  local c = t:connect()
  c.sys:on("alloc"):first():fail()
  expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.FAILURE)
  expect(c:wait_lost()):equals(-1)
end)

scenario("no memory for what comes in: what was sent is incomplete", function(t)
  local c = t:connect()
  c.sys:on("alloc"):nth(2):fail()
  expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(c:wait_lost()):equals(-1)
end)

-- A peer's own: accept, send, recv.

for _, name in ipairs { "EMFILE", "ENFILE", "ENOMEM" } do
  scenario("a connection that a peer has no room for, " .. name .. ", is accepted later", function(t)
    local peer = t:peer()
    peer.sys:on("accept"):first():errno(name)
    expect(t:client({ broker = peer }):try_connect()):equals(mqtt.SUCCESS)
  end)
end

scenario("a connection that is aborted before the peer accepts it is lost, the next one is not", function(t)
  local peer = t:peer()
  peer.sys:on("accept"):first():errno "ECONNABORTED"
  local c = t:client { broker = peer }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(c:try_connect()):equals(mqtt.SUCCESS)
end)

scenario("a peer's sends and receives come up short, or fail", function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  do
    local short <close> = peer.sys:on("send", "recv"):short(1)
    expect(c:try_publish("a", "hello", { qos = 2 })):equals(mqtt.SUCCESS)
    expect(short.fired):is_at_least(10)
  end
  peer.sys:on("send"):first():across():errno "EPIPE"
  expect(c:try_publish("a", "hello", { qos = 1 })):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(c:wait_lost()):equals(-1)
end)

scenario("a raw client's sends come up short", function(t)
  local raw = t:raw_client()
  local short = raw.sys:on("send"):short(3)
  raw:send("CONNECT", { client_id = "raw" })
  expect(raw:recv("CONNACK").reason_code):equals(0)
  expect(short.fired):is_at_least(4)
end)

-- As rules are.

scenario("a rule on system calls has a text, and counts what it saw", function(t)
  local c = t:connect()
  local rule = c.link:rule "sys send nth 2 short 4"
  expect(c.sys:on("send"):nth(3):errno("EWOULDBLOCK").text):equals "sys send nth 3 errno EAGAIN"
  c:publish("a", "one", { qos = 1 })
  expect(rule.fired):equals(0)
  c:publish("a", "two", { qos = 1 })
  rule:wait()
  expect(rule.seen):is_at_least(2)
  expect(rule.fired):equals(1)
end)

scenario("what cannot be is refused where it is said", function(t)
  local c, peer = t:connect(), t:peer()
  local function refused(fn, why)
    expect(fn):raises("system_calls.lua:%d+: .*" .. why)
  end
  refused(function() c.sys:on("sned"):fail() end, 'did you mean "send"')
  refused(function() c.sys:on("send"):errno("EPIP") end, 'did you mean "EPIPE"')
  refused(function() c.sys:on("connect"):short(4) end, "only send and recv move bytes")
  refused(function() c.sys:on("send"):short(0) end, "from 1")
  refused(function() c.sys:on("alloc"):errno("EINTR") end, "ENOMEM or ENOBUFS")
  refused(function() c.sys:on("send"):qos(1):fail() end, "makes no sense on own system calls")
  refused(function() c.sys:on("accept"):fail() end, "would never fire")
  refused(function() peer.sys:on("connect"):fail() end, "would never fire")
  refused(function() c.link.up:on("PUBLISH"):fail() end, "only own system calls")
  refused(function() t:proxy().link:rule "sys send fail" end, "a proxy has no system calls to fail")
end)
