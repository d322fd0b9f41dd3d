-- TLS between clients and scripted brokers, with certificates that are made for the scenario and thrown away with it.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- What the timeline tells.
local function told(t)
  return table.concat(t.timeline:lines(200), "\n")
end

scenario("a client and a broker talk over TLS", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local c = t:connect { broker = peer, tls = { ca = pki.ca } }
  c:subscribe("a/#", 2)
  for qos = 0, 2 do
    c:publish("a/b", ("x"):rep(40000), { qos = qos })
    expect(#c:next_message().payload):equals(40000)
  end
  c:disconnect()
end)

for _, resume in ipairs { "tickets", "ids" } do
  scenario("a client resumes its TLS session by " .. resume, { tags = { "tls" } }, function(t)
    local pki = t:pki()
    local peer = t:peer { tls = pki.server }
    local tls = { ca = pki.ca, resume = resume }
    local first = t:connect { broker = peer, tls = tls }
    first:disconnect()
    expect(told(t):find(", resumed", 1, true)):is_nil()
    t:connect { broker = peer, tls = tls }
    expect(told(t)):contains ", resumed"
  end)
end

scenario("a name that is not the address is checked and sent as SNI", { tags = { "tls" } }, function(t)
  local pki = t:pki { hosts = { "broker.example", "*.wild.example" } }
  local peer = t:peer { tls = pki.server }
  t:connect { broker = peer, tls = { ca = pki.ca, server_name = "broker.example" } }
  t:connect { broker = peer, tls = { ca = pki.ca, server_name = "any.wild.example" } }
  t:dns("broker.example"):answer "127.0.0.1"
  t:connect { url = peer.url:gsub("127.0.0.1", "broker.example."), tls = { ca = pki.ca } } -- a dot of the root
  local c = t:client { broker = peer, tls = { ca = pki.ca, server_name = "other.example" } }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "host name other.example does not match the server's certificate"
end)

scenario("both ends agree on the protocol mqtt", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = { cert = pki.server.cert, key = pki.server.key, alpn = "mqtt" } }
  t:connect { broker = peer, tls = { ca = pki.ca, alpn = { "http/1.1", "mqtt" } } }
  expect(told(t)):contains "ALPN mqtt"
  local c = t:client { broker = peer, tls = { ca = pki.ca, alpn = "http/1.1" } }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "TLS alert no_application_protocol"
end)

scenario("a pre-shared key in place of certificates", { tags = { "tls" } }, function(t)
  local peer = t:peer { tls = { psk = "00112233aabb", psk_identity = "sensor" } }
  t:connect { broker = peer, tls = { psk = "00112233AABB", psk_identity = "sensor" } }
  local wrong = t:client { broker = peer, tls = { psk = "00112233aacc", psk_identity = "sensor" } }
  expect(wrong:try_connect()):equals(mqtt.FAILURE)
end)

scenario("insecure takes any certificate, and the timeline says so", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki:faulty "expired" }
  t:connect { broker = peer, tls = { insecure = true } }
  expect(told(t)):contains "insecure: the server's certificate"
end)

scenario("without options the system's trust decides", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local c = t:client { url = peer.url }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "is not trusted: nothing in the system's trusted certificates"
end)

scenario("a connection that is cut is not one that ended", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local c = t:connect { broker = peer, tls = { ca = pki.ca } }
  peer:conn().link.both:on("bytes"):fin()
  peer:send("PINGRESP")
  expect(c:wait_lost()):equals(mqtt.FAILURE)
  expect(told(t)):contains "without a close_notify"
end)

scenario("a proxy lets TLS through as it is", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local proxy = t:proxy { upstream = peer }
  local c = t:connect { url = proxy.url, tls = { ca = pki.ca } }
  c:publish("a", "b", { qos = 2 })
  proxy.down:on("bytes"):rst()
  c:send("a", "b", { qos = 1 })
  expect(c:wait_lost()):equals(mqtt.FAILURE)
end)

scenario("rules on packets see none in TLS that goes through, and the proxy says so", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local proxy = t:proxy { upstream = t:peer { tls = pki.server } }
  local rule = proxy.both:on("any"):drop():may_fire()
  t:connect({ url = proxy.url, tls = { ca = pki.ca } }):publish("a", "b", { qos = 2 })
  expect(rule.seen):equals(0)
  expect(proxy:log()):contains "what goes through is TLS, in which rules on packets see none"
  expect(told(t)):contains "TLS from the client, not looked into"
end)

scenario("a proxy ends TLS and begins it anew, and sees packets", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local proxy = t:proxy { upstream = peer, tls = pki.server, upstream_tls = { ca = pki.ca } }
  proxy.down:on("PUBACK"):first():drop()
  local c = t:connect { url = proxy.url, tls = { ca = pki.ca } }
  local token = c:send("a", "b", { qos = 1 })
  c:publish("a", ("x"):rep(100000), { qos = 1 })
  expect(token.code):is_nil()
  expect(told(t):find("malformed", 1, true)):is_nil()
  c:disconnect()
end)

scenario("a proxy takes plain clients to a broker with TLS", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local proxy = t:proxy { upstream = peer, upstream_tls = { ca = pki.ca } }
  t:connect({ url = proxy.url }):publish("a", "b", { qos = 2 })
  local plain = t:proxy { upstream = peer, url = "tcp://127.0.0.1:0", upstream_tls = { ca = pki.ca } }
  expect(t:client({ url = plain.url:gsub("tcp", "ssl", 1), tls = { ca = pki.ca } }):try_connect())
    :equals(mqtt.FAILURE)
  t:wait(function()
    return told(t):find("the client speaks TLS, and the URL to listen at is of another scheme than ssl://", 1, true)
  end)
  local wary = t:proxy { upstream = peer, upstream_tls = { ca = pki:faulty("self_signed").cert } }
  expect(t:client({ url = wary.url }):try_connect()):equals(mqtt.FAILURE)
end)
