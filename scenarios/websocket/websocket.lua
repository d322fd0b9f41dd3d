-- WebSocket: MQTT in binary frames behind an HTTP upgrade, and what servers and clients do wrong with it.
--
-- Whatever is wrong below MQTT is the transport's end: -1, before CONNACK at onconnect, after it at onconnectionlost.

local rig = require "mqrig"
local expect, mqtt, scenario = rig.expect, rig.mqtt, rig.scenario

local URL = "ws://127.0.0.1:0/mqtt"
local tags = { "websocket" }

scenario("messages of every quality of service go both ways through a WebSocket", { tags = tags }, function(t)
  local broker = t:builtin { url = URL }
  local c = t:connect { broker = broker, ws = { headers = { Origin = "http://localhost" } } }
  c:subscribe("a/#", 2)
  for qos = 0, 2 do
    c:publish("a/b", ("x"):rep(100000), { qos = qos })
    expect(c:next_message().payload):equals(("x"):rep(100000))
  end
  c:disconnect()
end)

scenario("packets lie across frames, several in one, and between pings", { tags = tags, clause = "MQTT-6.0.0-2" },
function(t)
  local peer = t:peer { url = URL }
  local c = t:connect { broker = peer }
  local first, second = "\x30\x06\x00\x01afir", "\x30\x06\x00\x01bsec"
  peer:frame { payload = first:sub(1, 1), fin = false }
  peer:frame { opcode = "ping", payload = "between" }
  peer:frame { opcode = "continuation", payload = first:sub(2, 5), fin = false }
  peer:frame { opcode = "continuation", payload = "" }
  peer:frame { payload = first:sub(6) .. second .. first:sub(1, 3) }
  peer:frame { payload = first:sub(4) }
  for _, topic in ipairs { "a", "b", "a" } do
    expect(c:next_message().topic):equals(topic)
  end
end)

-- Debian's mosquitto writes 4 KiB to a WebSocket every 100 ms.
scenario("mosquitto's WebSockets take and give messages", { tags = tags, net = "real", timeout = 30 }, function(t)
  local broker = t:mosquitto { websockets = true, transport = "tcp" }
  local c = t:connect { url = broker.ws_url }
  local plain = t:connect { broker = broker }
  c:subscribe("a/#", 2)
  for qos = 0, 2 do
    c:publish("a/b", ("x"):rep(3000), { qos = qos })
    expect(c:next_message().payload):equals(("x"):rep(3000))
    plain:publish("a/c", "plain", { qos = qos })
    expect(c:next_message().payload):equals "plain"
  end
  c:frame { opcode = "ping", payload = "still there?" }
  c:publish("a/d", "", { qos = 2 })
  c:disconnect()
end)

for _, transport in ipairs { "ws", "wss" } do
  scenario("mosquitto reached by " .. transport, { tags = tags, net = "real", timeout = 30 }, function(t)
    local c = t:connect { broker = t:mosquitto { transport = transport } }
    c:subscribe("a", 2)
    for qos = 0, 2 do
      c:publish("a", ("x"):rep(2000), { qos = qos })
      expect(c:next_message().payload):equals(("x"):rep(2000))
    end
    c:disconnect()
  end)
end

-- What a server may answer to the upgrade, and what of it stands in the report.
for _, case in ipairs {
  { "404", { status = 404 }, "was answered with HTTP 404 Not Found" },
  {
    "a redirect",
    { status = 301, headers = { Location = "ws://127.0.0.1:1/" } },
    "HTTP 301 Moved Permanently, to ws://127.0.0.1:1/ (redirects are not followed)",
  },
  { "another subprotocol", { protocol = "chat" }, 'the WebSocket subprotocol "chat", not "mqtt"' },
  { "no subprotocol", { protocol = "" }, "chose no WebSocket subprotocol" },
  { "a wrong accept key", { accept = "c3RhcnQ=" }, 'Sec-WebSocket-Accept is "c3RhcnQ="' },
} do
  scenario("a WebSocket that is answered with " .. case[1] .. " is no connection", { tags = tags }, function(t)
    local peer = t:peer { url = URL, ws = case[2] }
    expect(t:client({ broker = peer }):try_connect()):equals(-1)
    local _, why = t:raw_client({ broker = peer }):wait_closed()
    expect(why):contains(case[3])
  end)
end

scenario("a path that the server does not have is answered with 404", { tags = tags }, function(t)
  local peer = t:peer { url = URL }
  local url = peer.url:gsub("/mqtt$", "/other")
  expect(t:client({ url = url }):try_connect()):equals(-1)
  expect(peer:log()):contains "was for /other; here is /mqtt"
end)

scenario("MQTT without WebSocket on a WebSocket's port, and the reverse, say so", { tags = tags }, function(t)
  local peer, plain = t:peer { url = URL }, t:peer { transport = "tcp" }
  local url = peer.url:gsub("^ws", "tcp"):gsub("/mqtt$", "")
  expect(t:client({ url = url }):try_connect()):equals(-1)
  expect(peer:log()):contains "it sent 10"
  expect(peer:log()):contains "(MQTT without WebSocket?)"
  local up = plain.url:gsub("^tcp", "ws")
  expect(t:client({ url = up }):try_connect()):equals(-1)
end)

-- What breaks the framing after CONNACK; the Close that it is answered with.
for _, case in ipairs {
  { "a text frame", { opcode = "text", payload = "\xc0\x00" }, 1003, "a WebSocket text frame" },
  { "a reserved bit", { rsv = 4 }, 1002, "reserved bits" },
  { "a reserved kind of frame", { opcode = 3 }, 1002, "reserved kind 3" },
  { "a continuation of nothing", { opcode = "continuation" }, 1002, "continuation of nothing" },
  { "a Close whose reason is not UTF-8", { opcode = "close", code = 1000, reason = "\xff" }, 1007, "not UTF-8" },
  { "a ping in two pieces", { bytes = "\x09\x80\0\0\0\0" }, 1002, "malformed" },
} do
  scenario(case[1] .. " from the server ends the connection", { tags = tags, clause = "MQTT-6.0.0-1" }, function(t)
    local peer = t:peer { url = URL }
    local c = t:connect { broker = peer }
    peer:frame(case[2])
    expect(c:wait_lost()):equals(-1)
    t:wait(function()
      return peer:log():find(("WebSocket Close %d"):format(case[3]), 1, true)
    end)
    expect(peer:log()):contains(case[4])
  end)

  scenario(case[1] .. " from the client ends the connection", { tags = tags, clause = "MQTT-6.0.0-1" }, function(t)
    local peer = t:peer { url = URL }
    local c = t:connect { broker = peer }
    c:frame(case[2])
    expect(c:wait_lost()):equals(-1)
    expect(peer:log()):contains(case[4])
  end)
end

scenario("an unmasked frame from a client, and a masked one from a server, end the connection", { tags = tags },
function(t)
  local peer = t:peer { url = URL }
  local c = t:connect { broker = peer }
  c:frame { payload = "\xc0\x00", mask = false }
  expect(c:wait_lost()):equals(-1)
  expect(peer:log()):contains "an unmasked WebSocket frame from the client"
  c:connect()
  peer:frame { payload = "\xd0\x00", mask = true }
  expect(c:wait_lost()):equals(-1)
  t:wait(function()
    return peer:log():find("a masked WebSocket frame from the server", 1, true)
  end)
end)

for _, code in ipairs { 1000, 1001, 1002, 1009, 4000 } do
  scenario(("a Close %d by the server loses the connection, and what is in flight is incomplete"):format(code),
    { tags = tags }, function(t)
      local peer = t:peer { url = URL }
      peer.down:on("PUBACK"):drop()
      local c = t:connect { broker = peer }
      local sent = c:send("a", "x", { qos = 1 })
          c:wait_sent "PUBLISH"
      peer:frame { opcode = "close", code = code, reason = "as told" }
      expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
      expect(c:wait_lost()):equals(-1)
      t:wait(function() -- the client answers with the same code
        return peer:log():find(("closed by the other end: WebSocket Close %d "):format(code), 1, true)
      end)
    end)
end

scenario("a frame over the client's limit is refused with 1009", { tags = tags }, function(t)
  local peer = t:peer { url = URL }
  local c = t:connect { broker = peer, ws = { frame_max = "1k" } }
  c:subscribe("a", 0)
  c:publish("a", ("x"):rep(900))
  expect(#c:next_message().payload):equals(900)
  c:publish("a", ("x"):rep(2000))
  expect(c:wait_lost()):equals(-1)
  t:wait(function()
    return peer:log():find("WebSocket Close 1009 (message too big)", 1, true)
  end)
end)

scenario("a flood of pings is answered without harm", { tags = tags }, function(t)
  local peer = t:peer { url = URL }
  local c = t:connect { broker = peer }
  for i = 1, 2000 do
    peer:frame { opcode = "ping", payload = ("ping %d"):format(i) }
  end
  c:publish("a", "x", { qos = 1 })
  c:disconnect()
end)

scenario("a proxy ends WebSocket and begins it anew, and sees packets", { tags = tags }, function(t)
  local peer = t:peer { url = URL }
  local proxy = t:proxy { upstream = peer }
  expect(proxy.url):matches "^ws://127.0.0.1:%d+/mqtt$"
  proxy.down:on("PUBACK"):first():drop()
  local c = t:connect { url = proxy.url }
  local token = c:send("a", "b", { qos = 1 })
  c:publish("a", ("x"):rep(100000), { qos = 2 })
  expect(token.code):is_nil()
  proxy.up:on("PUBLISH"):at_byte(3):rst()
  expect(c:send("a", "b", { qos = 1 }):wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
end)

scenario("a proxy takes clients over WebSocket to a broker without, and the other way round", { tags = tags },
  function(t)
    local plain, web = t:peer {}, t:peer { url = URL }
    for _, proxy in ipairs {
      t:proxy { url = URL, upstream = plain }, t:proxy { url = "tcp://127.0.0.1:0", upstream = web },
    } do
      local c = t:connect { url = proxy.url }
      c:subscribe("a", 2)
      c:publish("a", ("x"):rep(70000), { qos = 2 })
      expect(#c:next_message().payload):equals(70000)
      c:disconnect()
    end
  end)

scenario("a proxy ends WebSocket in TLS, or lets it through as it is", { tags = tags }, function(t)
  local pki = t:pki()
  local tls = { ca = pki.ca }
  local peer = t:peer { url = "wss://127.0.0.1:0/mqtt", tls = pki.server }
  local through = t:proxy { upstream = peer }
  expect(through.url):matches "^wss://127.0.0.1:%d+/mqtt$"
  t:connect({ url = through.url, tls = tls }):publish("a", "b", { qos = 2 })
  local seeing = t:proxy { upstream = peer, tls = pki.server, upstream_tls = tls }
  local dropped = seeing.down:on("PUBACK"):first():drop()
  local c = t:connect { url = seeing.url, tls = tls }
  c:send("a", "b", { qos = 1 })
  t:wait(function()
    return dropped.fired == 1
  end)
end)

scenario("headers that are none are refused where they are said", { tags = tags }, function(t)
  local function refused(name, value, why)
    expect(function()
      t:client({ url = "ws://127.0.0.1:1", ws = { headers = { [name] = value } } }):connect()
    end):raises(why)
  end
  refused("X Y", "v", "X Y is no name of a header")
  refused("X:", "v", "is no name of a header")
  refused("", "v", "is no name of a header")
  refused("X", "a\r\nY: b", "the value of X has a control character")
end)
