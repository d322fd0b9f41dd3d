-- TLS with mosquitto, its clients and openssl at the other end.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local ours = { tags = { "tls" }, broker = "mosquitto", net = "real" }

scenario("a client and mosquitto talk over TLS", ours, function(t)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki.server }
  local c = t:connect { broker = broker, tls = { ca = pki.ca } }
  c:subscribe("a/#", 2)
  for qos = 0, 2 do
    c:publish("a/b", ("x"):rep(100000), { qos = qos })
    expect(#c:next_message().payload):equals(100000)
  end
  c:disconnect()
end)

scenario("mosquitto resumes sessions", ours, function(t)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki.server }
  local tls = { ca = pki.ca, resume = true }
  for _ = 1, 2 do
    local c = t:connect { broker = broker, tls = tls }
    c:disconnect()
  end
  expect(table.concat(t.timeline:lines(100), "\n")):contains ", resumed"
end)

scenario("mosquitto's PSK listener", ours, function(t)
  local broker = t:mosquitto { tls = { psk = "0011223344", psk_identity = "sensor" } }
  local c = t:connect { broker = broker, tls = { psk = "0011223344", psk_identity = "sensor" } }
  c:publish("a", "b", { qos = 1 })
  local wrong = t:client { broker = broker, tls = { psk = "0011223355", psk_identity = "sensor" } }
  expect(wrong:try_connect()):equals(mqtt.FAILURE)
end)

scenario("what mosquitto loses when it is killed is lost over TLS, too", ours, function(t)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki.server }
  local c = t:connect { broker = broker, tls = { ca = pki.ca } }
  broker:kill()
  expect(c:wait_lost()):equals(mqtt.FAILURE)
end)

scenario("mosquitto_pub and mosquitto_sub with a scripted broker", ours, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = { cert = pki.server.cert, key = pki.server.key, ca = pki.ca } }
  local port = peer.url:match ":(%d+)"
  local common = { "-h", "localhost", "-p", port, "--cafile", pki:file(pki.ca), "--cert", pki:file(pki.client.cert),
    "--key", pki:file(pki.client.key), "-t", "a", "-q", "1" }
  local sub = t:process { "mosquitto_sub", "-C", "1", table.unpack(common) }
  t:wait(function()
    return #peer:received "SUBSCRIBE" > 0
  end)
  local pub = t:process { "mosquitto_pub", "-m", "hello", table.unpack(common) }
  expect(pub:wait()):equals(0)
  expect(sub:wait()):equals(0)
  expect(sub.output):equals "hello\n"
end)

scenario("mosquitto_pub refuses a scripted broker with the wrong host", ours, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki:faulty "wrong_host" }
  local pub = t:process { "mosquitto_pub", "-h", "localhost", "-p", peer.url:match ":(%d+)", "--cafile",
    pki:file(pki.ca), "-t", "a", "-m", "b" }
  expect(pub:wait()):differs(0)
  expect(#peer:received()):equals(0)
end)

-- With openssl's client, whose standard input is what a shell gives it.
local function s_client(t, peer, pki, input, options)
  if not pcall(t.process, t, { "openssl", "version" }) then
    t:skip "openssl is not installed"
  end
  local command = ("(%s; sleep 5) | openssl s_client -connect localhost:%s -CAfile %s -verify_return_error %s"):format(
    input, peer.url:match ":(%d+)", pki:file(pki.ca), options)
  return t:process { "sh", "-c", command, name = "openssl" }
end

local openssl = { tags = { "tls" }, net = "real" }

scenario("openssl's client connects", openssl, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  s_client(t, peer, pki, [[printf '\020\015\000\004MQTT\004\002\000\074\000\001o\300\000']], "-quiet -tls1_2")
  t:wait(function()
    return #peer:received "PINGREQ" > 0
  end)
  expect(peer:received("CONNECT")[1].client_id):equals "o"
end)

scenario("openssl's client wants to renegotiate, and is refused", openssl, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local client = s_client(t, peer, pki, "sleep 0.3; echo R", "-tls1_2")
  t:wait(function()
    return client.output:find "no renegotiation"
  end)
  expect(client.output):contains "RENEGOTIATING"
end)

scenario("openssl's client knows each faulty certificate for what it is", openssl, function(t)
  local pki = t:pki()
  local words = { expired = "certificate has expired", not_yet_valid = "certificate is not yet valid",
    untrusted = "certificate signature failure", self_signed = "self%-signed certificate",
    wrong_host = "ostname mismatch" }
  for kind, text in next, words do
    local peer = t:peer { tls = pki:faulty(kind) }
    local client = s_client(t, peer, pki, "true", "-tls1_2 -verify_hostname localhost")
    t:wait(function()
      return client.output:find(text)
    end)
  end
end)
