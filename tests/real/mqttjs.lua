-- WebSockets with MQTT.js at the other end, and with the ws that it is made of. Run by mqttjs_test.lua.

local rig = require "mqrig"
local expect, scenario = rig.expect, rig.scenario

local function node(t, ...)
  return t:process { "node", "tests/real/mqttjs.js", ... }
end

for _, transport in ipairs { "tcp", "tls", "ws", "wss" } do
  scenario("MQTT.js over " .. transport, { net = "real" }, function(t)
    local pki = t:pki()
    local tls = (transport == "tls" or transport == "wss") and pki.server or nil
    local peer = t:peer { transport = transport, tls = tls }
    local js = node(t, "client", (peer.url:gsub("^ssl", "mqtts")), tls and pki:file(pki.ca))
    t:wait(function()
      return #peer:received "PUBLISH" == 4
    end)
    if transport:find "^ws" then
      peer:frame { opcode = "ping", payload = "still there?" }
    end
    peer:send("PUBLISH", { topic = "a/stop", payload = "" })
    expect(js:wait()):equals(0)
    for i, packet in ipairs(peer:received "PUBLISH") do
      expect(packet.qos):equals(i <= 3 and i - 1 or 1)
    end
  end)
end

for _, transport in ipairs { "tls", "wss" } do
  scenario(("MQTT.js refuses a certificate over %s that has expired"):format(transport), { net = "real" }, function(t)
    local pki = t:pki()
    local peer = t:peer { transport = transport, tls = pki:faulty "expired" }
    local js = node(t, "client", (peer.url:gsub("^ssl", "mqtts")), pki:file(pki.ca))
    expect(js:wait()):equals(1)
    expect(js.output):contains "certificate has expired"
    expect(#peer:received()):equals(0)
  end)
end

scenario("MQTT.js sees a Close", { net = "real" }, function(t)
  local peer = t:peer { transport = "ws" }
  local js = node(t, "client", peer.url)
  t:wait(function()
    return #peer:received "PUBLISH" == 4
  end)
  peer:frame { opcode = "close", code = 1001, reason = "going" }
  t:wait(function()
    return js.output:find "closed"
  end)
end)

scenario("a server of ws: packets across frames, pings between them, its Close", { net = "real" }, function(t)
  local js = node(t, "server")
  t:wait(function()
    return js.output:find "port %d+"
  end)
  local url = ("ws://127.0.0.1:%s/mqtt"):format(js.output:match "port (%d+)")
  local c = t:connect { url = url, ws = { headers = { ["X-Test"] = "seen" } } }
  expect(js.output):contains "open mqtt seen"
  for qos = 0, 1 do
    for _, size in ipairs { 0, 1, 125, 126, 65535, 65536, 200000 } do
      c:publish("a/b", ("x"):rep(size), { qos = qos })
      expect(#c:next_message().payload):equals(size)
    end
  end
  c:frame { opcode = "ping", payload = "there?" }
  c:publish("end", "", { qos = 1 })
  expect(c:wait_lost()):equals(-1)
  t:wait(function()
    return js.output:find "pong between" and js.output:find "ping there%?" and js.output:find "close 1008"
  end)
  expect(t:client({ url = url:gsub("mqtt$", "other") }):try_connect()):equals(-1)
end)
