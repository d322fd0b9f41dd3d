-- onconnect: 0 accepted; a CONNACK code as the broker gave it; -1 where there was no CONNACK, or a malformed one.
local rig = require "mqrig"
local mqtt, scenario, expect, fault = rig.mqtt, rig.scenario, rig.expect, rig.fault

scenario("accepted: 0, once, never before connect has returned", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  local codes, returned, inside = {}, false, nil
  client:onconnect(function(code)
    codes[#codes + 1] = code
    inside = returned and client:isconnected()
  end)
  expect(client:isconnected()):is_false()
  client:connect(t.broker.url, "accepted")
  returned = true
  expect(client:isconnected()):is_false()
  t:wait(function() return codes[1] end)
  expect(inside):is_true()
  expect(t:await(function(done) client:createmessage("codes/connect", "x", { qos = 1 }):sendasync(done) end)):equals(0)
  expect(codes):equals { 0 }
end)

for _, code in ipairs { 1, 2, 3, 4, 5, 6, 17, 127, 128, 255 } do
  scenario(("refused with CONNACK %d: that code, and disconnected"):format(code), { tags = "result-codes" }, function(t)
    local peer = t:peer()
    peer:on("CONNECT", function(conn) conn:send("CONNACK", { reason_code = code }) end)
    local c = t:client { broker = peer }
    local lost = false
    c.mqtt:onconnectionlost(function() lost = true end)
    expect(c:try_connect()):equals(code)
    expect(c.mqtt:isconnected()):is_false()
    expect(c.state):equals("disconnected")
    expect(lost):is_false()

    peer:on("CONNECT", nil)
    expect(c:try_connect()):equals(0)
    expect(lost):is_false()
  end)
end

scenario("a broker that wants a password: 5 from mosquitto too", { tags = "result-codes", broker = "mosquitto" },
  function(t)
    local broker = t:mosquitto { conf = "allow_anonymous false" }
    expect(t:client { broker = broker }:try_connect()):equals(5)
  end)

scenario("nobody listens: -1", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local c = t:client { broker = peer }
  peer:stop()
  expect(c:try_connect()):equals(-1)
  peer:start()
  expect(c:try_connect()):equals(0)
end)

scenario("the name is not found: -1", { tags = "result-codes" }, function(t)
  expect(t:client { url = "tcp://no-such-host.invalid:1883" }:try_connect()):equals(-1)
end)

scenario("there is no such Unix socket: -1", { tags = "result-codes" }, function(t)
  expect(t:client { url = "unix:///nonexistent/broker.sock" }:try_connect()):equals(-1)
end)

scenario("no CONNACK within the timeout: -1", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer:on("CONNECT", function() end)
  local c = t:client { broker = peer, timeout = "20ms" }
  expect(function() c:connect() end):raises "closed by this end: no CONNACK within the timeout of connect"
  expect(c.state):equals("disconnected")
  peer:on("CONNECT", nil)
  t:connect { broker = peer }
end)

scenario("the connection is taken and not served: -1 after the timeout", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer:pause()
  expect(t:client { broker = peer, timeout = "20ms" }:try_connect()):equals(-1)
end)

for _, verb in ipairs { "rst", "fin", "close" } do
  scenario(("%s before the CONNACK: -1"):format(verb), { tags = "result-codes" }, function(t)
    local peer = t:peer()
    peer:on("CONNECT", function(conn) conn[verb](conn) end)
    expect(t:client { broker = peer }:try_connect()):equals(-1)
  end)

  scenario(("%s inside the CONNACK: -1"):format(verb), { tags = "result-codes" }, function(t)
    local c = t:client()
    local place = c.link.down:on("CONNACK"):at_byte(3)
    place[verb](place)
    expect(c:try_connect()):equals(-1)
  end)
end

scenario("the CONNECT itself is cut: -1", { tags = "result-codes" }, function(t)
  local c = t:client()
  c.link.up:on("CONNECT"):at_byte(5):rst()
  expect(c:try_connect()):equals(-1)
end)

local malformed = {
  { "reserved flags", "20 r2 02 00" },
  { "header flags", "21 r2 00 00" },
  { "a session where none was asked for", "20 r2 01 00" },
  { "one byte too short", "20 r1 00" },
  { "one byte too long", "20 r3 00 00 00" },
  { "a PUBLISH before it", '30 r3 s"t"' },
  { "a PINGRESP before it", "d0 r0" },
  { "a SUBACK before it", "90 r3 m1 00" },
  { "a broken remaining length", "20 ffffffff7f" },
  { "another protocol", 'b"HTTP/1.1 400 Bad Request\\x0d\\x0a"' },
}
for _, case in ipairs(malformed) do
  scenario(("CONNACK malformed, %s: -1"):format(case[1]), { tags = "result-codes" }, function(t)
    local peer = t:peer()
    peer:on("CONNECT", function(conn) conn:send_raw(fault.raw(case[2])) end)
    local c = t:client { broker = peer }
    local lost = false
    c.mqtt:onconnectionlost(function() lost = true end)
    expect(c:try_connect()):equals(-1)
    peer:on("CONNECT", nil)
    expect(c:try_connect()):equals(0)
    expect(lost):is_false()
  end)
end

scenario("connect raises while the client is connecting, connected, or disconnecting", { tags = "result-codes" },
  function(t)
    local client <close> = mqtt.createclient()
    local url = t.broker.url
    local function again() client:connect(url, "again") end
    t:await(function(done)
      client:onconnect(done)
      client:connect(url, "first")
      expect(again):raises("not disconnected")
    end)
    expect(again):raises("not disconnected")
    t:await(function(done)
      client:disconnect(done)
      expect(again):raises("not disconnected")
    end)
    expect(t:await(function(done)
      client:onconnect(done)
      again()
    end)):equals(0)
  end)

scenario("connect raises for a client identifier that is not 1 to 255 bytes", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  local url = t.broker.url
  for _, id in ipairs { "", ("x"):rep(256), ("x"):rep(70000) } do
    expect(function() client:connect(url, id) end):raises("clientid")
  end
  expect(function() client:connect(url) end):raises()
  for _, id in ipairs { "x", ("x"):rep(255) } do
    local code = t:await(function(done)
      client:onconnect(done)
      client:connect(url, id)
    end)
    expect(code):equals(0)
    t:await(function(done) client:disconnect(done) end)
  end
end)

scenario("connect raises for a scheme that there is not", { tags = "result-codes" }, function()
  local client <close> = mqtt.createclient()
  for _, url in ipairs { "http://127.0.0.1:1883", "udp://127.0.0.1", "127.0.0.1:1883", "", "tcp//127.0.0.1" } do
    expect(function() client:connect(url, "x") end):raises()
  end
  expect(client:isconnected()):is_false()
end)

scenario("mqtt:// is tcp://", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  expect(t:client { url = (peer.url:gsub("^tcp:", "mqtt:")) }:try_connect()):equals(0)
end)

scenario("connect raises for a keepalive that is neither 0 nor 1 to 65535", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  local peer = t:peer()
  for _, keepalive in ipairs { -1, 65536, 1.5, "soon" } do
    expect(function() client:connect(peer.url, "x", { keepalive = keepalive }) end):raises("keepalive")
  end
  for _, keepalive in ipairs { 0, 1, 65535 } do
    t:await(function(done)
      client:onconnect(done)
      client:connect(peer.url, "x", { keepalive = keepalive })
    end)
    t:await(function(done) client:disconnect(done) end)
  end
  local seen = {}
  for i, packet in ipairs(peer:received("CONNECT")) do
    seen[i] = packet.keepalive
  end
  expect(seen):equals { 0, 1, 65535 }
end)

scenario("an unknown option is an error that names the near one", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  expect(function() client:connect("tcp://127.0.0.1:1", "x", { keepalife = 60 }) end):raises("keepalive")
  expect(function() mqtt.createclient { maxinfligth = 1 } end):raises("maxinflight")
  expect(function() t:client { cleen = true } end):raises("clean")
end)

scenario("options go into the CONNECT packet", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local client <close> = mqtt.createclient()
  local function connect(id, options)
    t:await(function(done)
      client:onconnect(done)
      client:connect(peer.url, id, options)
    end)
    t:await(function(done) client:disconnect(done) end)
    local all = peer:received("CONNECT")
    return all[#all]
  end
  expect(connect("plain")):matches { client_id = "plain", clean = true, keepalive = 60, protocol_version = 4 }
  expect(connect("full", {
    username = "user", password = "secret", keepalive = 30, cleansession = false,
    willtopic = "codes/will", willmessage = "gone", willqos = 1, willretain = true,
  })):matches {
    client_id = "full", clean = false, keepalive = 30, username = "user", password = "secret",
    will = { topic = "codes/will", payload = "gone", qos = 1, retain = true },
  }
end)

scenario("a failed connect may be followed by another from inside onconnect", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local refused = peer:on("CONNECT", function(conn) conn:rst() end)
  expect(refused):is_nil()
  local client <close> = mqtt.createclient()
  local codes = {}
  client:onconnect(function(code)
    codes[#codes + 1] = code
    if #codes == 2 then peer:on("CONNECT", nil) end
    if code ~= 0 then client:connect(peer.url, "stubborn") end
  end)
  client:connect(peer.url, "stubborn")
  t:wait(function() return client:isconnected() end)
  expect(codes):equals { -1, -1, 0 }
end)

scenario("close while connecting: onconnect is told -1, no connection stays", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("CONNACK"):hold()
  local client = mqtt.createclient()
  local codes = {}
  client:onconnect(function(code) codes[#codes + 1] = code end)
  client:connect(peer.url, "undecided")
  t:wait(function() return held.seen == 1 end)
  client:close()
  expect(codes):equals { -1 }
  t:wait(function() return not peer:conn() end)
end)

scenario("disconnect of a client that is not connected calls back all the same", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  t:await(function(done) client:disconnect(done) end)
  client:close()
  t:await(function(done) client:disconnect(done) end)
end)

scenario("a closed client can be connected again", { tags = "result-codes" }, function(t)
  local c = t:connect()
  c:close()
  c:close()
  expect(c.mqtt:isconnected()):is_false()
  expect(c:try_connect()):equals(0)
  c:publish("codes/connect", "x", { qos = 1 })
end)

scenario("the sentence for a code", { tags = "result-codes" }, function()
  for _, code in ipairs { 0, -1, -3, -10, -11, -12, 1, 2, 3, 4, 5 } do
    expect(mqtt.describe(code)):matches("%w")
  end
  expect(mqtt.describe(-11)):differs(mqtt.describe(-1))
  expect({ mqtt.SUCCESS, mqtt.FAILURE, mqtt.ERROR_DISCONNECTED, mqtt.ERROR_NO_MORE_MSGIDS,
    mqtt.ERROR_OPERATION_INCOMPLETE, mqtt.ERROR_MAX_BUFFERED_MESSAGES }):equals { 0, -1, -3, -10, -11, -12 }
  expect({ mqtt.AT_MOST_ONCE, mqtt.AT_LEAST_ONCE, mqtt.EXACTLY_ONCE }):equals { 0, 1, 2 }
end)
