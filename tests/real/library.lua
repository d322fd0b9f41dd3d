-- The scenario library against the built-in broker: what each verb does. Run by library_test.lua.
local rig = require "mqrig"
local mqtt, scenario, expect, fault = rig.mqtt, rig.scenario, rig.expect, rig.fault

scenario("hello", function(t)
  local c = t:connect()
  expect(c.state):equals("connected")
  expect(c:subscribe("a/#", 1)):equals(1)
  for q = 0, 2 do
    expect(c:publish("a/b", "hello" .. q, { qos = q })):equals(0)
    local m = c:next_message()
    expect(m.payload):equals("hello" .. q)
    expect(m.qos):equals(math.min(q, 1))
    expect(m.retain):is_false()
  end
  local p = c:wait_sent("PUBLISH", { qos = 1 })
  expect(p.packet_id):equals(2)
  expect(c:wait_received("PUBACK").packet_id):equals(2)
  c:expect_no_message { for_ = 0.05 }
  c:disconnect()
  expect(c.state):equals("disconnected")
  expect(c:send("x", "y").code):equals(-3)
end)

scenario("raw", function(t)
  local r = t:raw_client()
  r:send("CONNECT", { client_id = "x" })
  expect(r:recv("CONNACK").reason_code):equals(0)
  r:send(rig.fault.raw "c0 r0")
  r:recv("PINGRESP")
  r:send(rig.fault.raw "c0 r0 c0 r0")
  expect(r:recv_bytes(3)):equals "\xd0\0\xd0"
  expect(r:recv_bytes(1)):equals "\0"
  expect(function() r:recv_bytes(1, { within = 0.01 }) end):raises "raw%d*: 0 bytes of 1 came"
  expect(function() r:recv_bytes(0) end):raises "takes a number of bytes"
  r:send(rig.fault.raw "62 r2 m0")
  r:send(rig.fault.raw "f0 r0")
  expect(r:wait_closed()):equals("fin")
end)

scenario("process", function(t)
  local p = t:process { "sh", "-c", "echo hi; echo err >&2; exit 3", env = { X = "1" } }
  expect(p:wait()):equals(3)
  expect(p.stdout):equals("hi\n")
  expect(p.stderr):equals("err\n")
  local q = t:process { "sleep", "100" }
  q:pause()
  q:resume()
  q:kill()
  local _, sig = q:wait()
  expect(sig):equals("KILL")
end)

scenario("await", function(t)
  local c = t:connect()
  local m = c.mqtt:createmessage("a", "b", { qos = 1 })
  expect(t:await(function(done) m:sendasync(done) end)):equals(0)
  local seen
  c.mqtt:onmessage(function(x) seen = x end)
  c:subscribe("a")
  m:sendasync()
  t:wait(function() return seen end)
  expect(seen.message):equals("b")
  expect(#c:messages()):equals(1)
  local task = t:spawn(function(a) t:sleep(0.01) return a + 1 end, 4)
  expect(task:join()):equals(5)
end)

scenario("broker stop", function(t)
  local c = t:connect { clean = false }
  t.broker:stop()
  expect(c:wait_lost()):equals(-1)
  expect(c:try_connect()):equals(-1)
  t.broker:start()
  c:connect()
  t.broker:pause()
  local s = c:send("a", "b", { qos = 1 })
  t:sleep(0.05)
  expect(s.code):is_nil()
  t.broker:resume()
  expect(s:wait()):equals(0)
end)

scenario("api example", { tags = { "result-codes" } },
function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()
  local c = t:connect { broker = peer }
  local sent = c:send("imp.mqtt.test.pings", "hello", { qos = 1 })
  c:wait_sent("PUBLISH")
  c.link:rst()
  expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(c:wait_lost()):equals(-1)
end)

scenario("drop id 2", function(t)
  local c = t:connect()
  local r = c.link.down:on("PUBACK"):id(2):drop()
  expect(c:publish("a", "1", { qos = 1 })):equals(0)
  local s = c:send("a", "2", { qos = 1 })
  r:wait()
  expect(r.fired):equals(1)
  t:sleep(0.01)
  expect(s.code):is_nil()
end)

scenario("hold release", function(t)
  local c = t:connect()
  local r = c.link.down:on("PUBACK"):hold()
  local s = {}
  for i = 1, 3 do s[i] = c:send("a", "2", { qos = 1 }) end
  t:wait(function() return r.fired == 3 end)
  expect(r:release(1)):equals(1)
  expect(s[1]:wait()):equals(0)
  expect(s[2].code):is_nil()
  expect(r:release()):equals(2)
  expect(s[3]:wait()):equals(0)
end)

scenario("rewrite inject where", function(t)
  local c = t:connect()
  c:subscribe("a", 1)
  local to_change = c.link.down:on("PUBLISH"):where(function(p) return p.payload == "x" end):first()
  to_change:rewrite(function(p)
    p.payload = "changed"
    return p
  end)
  c:publish("a", "x")
  expect(c:next_message().payload):equals("changed")
  c.link.down:on("PINGRESP"):may_fire():drop()
  local subscribe = { type = "SUBSCRIBE", packet_id = 77, subscriptions = { { filter = "b", qos = 0 } } }
  c.link.up:on("PUBLISH"):first():inject(subscribe, "before")
  c:publish("a", "y")
  expect(c:wait_received("SUBACK", { packet_id = 77 }).reason_codes):equals { 0 }
end)

scenario("delay split", function(t)
  local c = t:connect()
  c.link.down:on("bytes"):delay("30ms")
  local t0 = t:now()
  c:publish("a", "y", { qos = 1 })
  expect(t:now() - t0):is_at_least(0.029)
  c.link.up:on("bytes"):split(1)
  c:publish("abc", "y", { qos = 2 })
end)

scenario("refuse", function(t)
  local c = t:client()
  local r = c.link:on("connect"):refuse()
  expect(c:try_connect()):equals(-1)
  r:off()
  c:connect()
end)

scenario("peer accept refuse", function(t)
  local p = t:peer()
  p:on("SUBSCRIBE", function(conn, packet)
    t:sleep(0.01)
    conn:send("SUBACK", { packet_id = packet.packet_id, reason_codes = { 128 } })
  end)
  local c = t:connect { broker = p }
  expect(c:try_subscribe("x")):equals(128)
  expect(function() c:subscribe("x") end):raises("refused with 128")
  p:send("PUBLISH", { topic = "zz", payload = "hi", qos = 1, packet_id = 9 })
  expect(c:next_message()):equals { topic = "zz", payload = "hi", qos = 1, packet_id = 9, dup = false, retain = false }
  t:wait(function() return #p:received("PUBACK") == 1 end)
  p:send_raw(fault.raw "62 r3 m1")
  expect(c:wait_lost()):equals(-4)
end)

scenario("will", function(t)
  local a = t:connect()
  a:subscribe("w/#", 1)
  local b = t:connect {
    id = "willy",
    username = "u",
    password = "p",
    keepalive = 30,
    timeout = 2,
    will = { topic = "w/b", payload = "bye", qos = 1, retain = true },
  }
  local p = b:wait_sent("CONNECT")
  expect(p.client_id):equals("willy")
  expect(p.username):equals("u")
  expect(p.will.topic):equals("w/b")
  expect(p.will.retain):is_true()
  b.link:rst()
  local m = a:next_message()
  expect(m.payload):equals("bye")
  expect(m.qos):equals(1)
  expect(m.packet_id):equals(1)
end)

scenario("restart persist", function(t)
  local a = t:connect { clean = false, id = "s" }
  a:subscribe("x", 1)
  a:publish("x", "keep", { qos = 1, retain = true })
  a:next_message()
  t.broker:restart()
  expect(a:wait_lost()):equals(-1)
  a:connect()
  expect(a:wait_received("CONNACK", { session_present = true }).reason_code):equals(0)
  t.broker:restart { persist = false }
  expect(a:wait_lost()):equals(-1)
  local b = t:connect { id = "z" }
  b:subscribe("x")
  b:expect_no_message()
  t.broker:kill()
  expect(b:wait_lost()):equals(-1)
  expect(b:try_connect()):equals(-1)
  t.broker:start()
  b:connect()
  t.broker:pause()
  expect(function() b:publish("a", "b", { qos = 1, within = 0.1 }) end):raises("no result of the PUBLISH")
  t.broker:resume()
end)

scenario("raw bytes", function(t)
  local c = t:connect()
  c:raw(fault.raw "c0 r0")
  c:wait_received("PINGRESP")
  c:raw(fault.raw "f0 r0")
  expect(c:wait_lost()):equals(-1)
end)

scenario("retained flag", function(t)
  local c = t:connect()
  c:publish("r/1", "x", { retain = true })
  c:subscribe({ "r/+", "s" }, { 0, 2 })
  expect(c:next_message()):matches { topic = "r/1", retain = true, dup = false, qos = 0, payload = "x" }
  expect(c:unsubscribe { "r/+", "s" }):equals(0)
  c:publish("r/1", "")
  c:expect_no_message { for_ = "50ms" }
end)

scenario("unix socket", function(t)
  local path = os.tmpname()
  os.remove(path)
  local b = t:builtin { url = "unix://" .. path }
  local c = t:connect { broker = b }
  c:publish("a", "b", { qos = 2 })
end)

scenario("imp profile", function(t)
  t:connect { profile = "imp" }
  expect(function() t:connect { profile = "imp" } end):raises("connect")
end)

scenario("received over connections", function(t)
  local p = t:peer()
  local a, b = t:connect { broker = p }, t:connect { broker = p }
  a:publish("1", "", { qos = 1 })
  b:publish("2", "", { qos = 1 })
  a:publish("3", "", { qos = 1 })
  local topics = {}
  for i, packet in ipairs(p:received("PUBLISH")) do topics[i] = packet.topic end
  expect(topics):equals { "1", "2", "3" }
  a:publish("4", "", { qos = 1 })
  expect(#p:received("PUBLISH")):equals(4)
  expect(#p:received()):equals(6)
  expect(p:conn(1).client_id):equals(a.id)
  expect(#p:conn(2):received("PUBLISH")):equals(1)
  p:conn(1):rst()
  expect(a:wait_lost()):equals(-1)
  expect(p:conn(1).is_open):is_false()
  expect(b.state):equals("connected")
  p:stop()
  expect(b:wait_lost()):equals(-1)
  p:start()
  b:connect()
end)

scenario("close gives codes", function(t)
  local p = t:peer()
  p:on("PUBLISH", function() end)
  local c = t:connect { broker = p }
  local x = c:send("a", "b", { qos = 1 })
  c:wait_sent("PUBLISH")
  c:close()
  expect(x.code):equals(-11)
  expect(c.state):equals("disconnected")
  c:connect()
  c:disconnect()
  expect(c:try_disconnect()):equals(-3)
  expect(function() c:disconnect() end):raises("-3")
  expect(c:try_publish("a", "b")):equals(-3)
  expect(c:try_subscribe("a")):equals(-3)
end)

scenario("inbound rate, too large", function(t)
  local c = t:connect { maxmessage = 10 }
  c:subscribe("a")
  local d = t:connect()
  d:publish("a", ("x"):rep(20))
  expect(c:wait_lost()):equals(-3)
  expect(function() c:connect() c:publish("a", ("x"):rep(20)) end):raises("over the limit")
  expect(function() c:publish("a/#", "") end):raises("topic")
end)

scenario("refused by connack", function(t)
  local p = t:peer()
  p:on("CONNECT", function(conn) conn:send("CONNACK", { reason_code = 5 }) end)
  local c = t:client { broker = p }
  expect(c:try_connect()):equals(5)
  expect(function() c:connect() end):raises("5")
  local u = t:client { url = "tcp://127.0.0.1:1" }
  expect(u:try_connect()):equals(-1)
  local s = t:client { url = "ftp://x" }
  expect(function() s:connect() end):raises("scheme")
end)

scenario("user handlers besides", function(t)
  local c = t:client()
  local seen = {}
  c.mqtt:onconnect(function(code) seen[#seen + 1] = code end)
  c.mqtt:onconnectionlost(function(code) seen[#seen + 1] = code end)
  c:connect()
  c.link:rst()
  c:wait_lost()
  expect(seen):equals { 0, -1 }
  expect(c.mqtt:isconnected()):is_false()
  expect(function() c.mqtt:onmessage(3) end):raises("function")
  expect(function() c.mqtt:connect("tcp://127.0.0.1:1", "") end):raises("clientid")
end)

scenario("sub refused", function(t)
  local p = t:peer()
  p.down:on("SUBACK"):rewrite(function(x) x.reason_codes = { 128 } return x end)
  local c = t:connect { broker = p }
  expect(c:try_subscribe("a")):equals(128)
end)

scenario("the client API is what the reference says", function()
  local client = mqtt.createclient()
  local handlers = "onconnect onconnectionlost onmessage"
  local verbs = "connect createmessage subscribe unsubscribe disconnect"
  for name in (handlers .. " " .. verbs .. " isconnected close"):gmatch "%S+" do
    expect(type(client[name])):equals("function")
  end
  expect(type(client:createmessage("a", "b").sendasync)):equals("function")
  local codes = { mqtt.SUCCESS, mqtt.FAILURE, mqtt.ERROR_DISCONNECTED, mqtt.ERROR_NO_MORE_MSGIDS,
    mqtt.ERROR_OPERATION_INCOMPLETE, mqtt.ERROR_MAX_BUFFERED_MESSAGES }
  expect(codes):equals { 0, -1, -3, -10, -11, -12 }
  expect({ mqtt.AT_MOST_ONCE, mqtt.AT_LEAST_ONCE, mqtt.EXACTLY_ONCE }):equals { 0, 1, 2 }
end)

local left

scenario("a client that is left connected", function(t)
  left = mqtt.createclient()
  left:onconnectionlost(function() error "after the verdict" end)
  t:await(function(done)
    left:onconnect(done)
    left:connect(t.broker.url, "left")
  end)
  left:createmessage("a", "b", { qos = 2 }):sendasync(error)
end)

scenario("ends with its scenario", function()
  expect(left:isconnected()):is_false()
end)

scenario("a client that nobody holds ends", function(t)
  local peer = t:peer()
  local client = mqtt.createclient()
  t:await(function(done)
    client:onconnect(done)
    client:connect(peer.url, "dropped")
  end)
  client = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  t:wait(function() return not peer:conn(1).is_open end)
end)

-- Functions of rules run while the packet is on its way: they may use the client whose packet it is all the same.
scenario("a rule's function publishes", function(t)
  local c, more = t:connect(), {}
  c.link.up:on("PUBLISH"):where(function()
    if #more < 50 then
      more[#more + 1] = c:send("b", ("y"):rep(1000), { qos = 1 })
    end
    return true
  end):delay("1ms")
  expect(c:publish("a", "x", { qos = 1 })):equals(0)
  for _, sent in ipairs(more) do
    expect(sent:wait()):equals(0)
  end
end)

scenario("a rule's function closes and connects again", function(t)
  local c = t:connect()
  local url, again = t.broker.url, nil
  c.link.up:on("PUBLISH"):where(function()
    if again == nil then
      again = false
      c.mqtt:onconnect(function(code) again = code end)
      c.mqtt:close()
      c.mqtt:connect(url, "again")
    end
    return true
  end):delay("1ms"):may_fire()
  local sent = c:send("a", ("x"):rep(100), { qos = 1 })
  expect(sent:wait()):equals(-3)
  t:wait(function() return again end)
  expect(again):equals(0)
end)

scenario("a rule's function stops the peer, or has it send", function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):where(function(p)
    peer:send("PUBLISH", { topic = "x", payload = ("y"):rep(1000) })
    if p.packet_id == 20 then
      peer:stop()
    end
    return true
  end):delay("1ms")
  local c = t:connect { broker = peer }
  for _ = 1, 20 do
    c:send("a", ("x"):rep(200), { qos = 1 })
  end
  c:wait_lost()
end)
