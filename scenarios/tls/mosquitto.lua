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
