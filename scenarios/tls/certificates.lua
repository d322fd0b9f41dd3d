-- Certificates with something wrong about them: none connects, and each time it is said why.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- What the timeline tells.
local function told(t)
  return table.concat(t.timeline:lines(200), "\n")
end

-- Of a server: the fault, what the client says, what it tells the server.
local server_faults = {
  { "expired", "the server's certificate expired on 2020-12-31 23:59:59 UTC", "certificate_expired" },
  { "not_yet_valid", "the server's certificate is not valid before 2049-01-01", "" },
  { "wrong_host", "host name 127.0.0.1 does not match the server's certificate, which is for wrong.example", "" },
  { "untrusted", "is not trusted: nothing in tls.ca has signed it", "unknown_ca" },
  { "self_signed", "is signed by itself, and is not in tls.ca", "unknown_ca" },
  { "revoked", "was revoked: it is on the list of tls.crl", "certificate_revoked" },
  { "weak", "is weak: it is signed with ECDSA with SHA1", "" },
}

for _, row in ipairs(server_faults) do
  local kind, why, alert = row[1], row[2], row[3]
  scenario(("a client refuses a server whose certificate is %s"):format(kind), { tags = { "tls" } }, function(t)
    local pki = t:pki()
    local peer = t:peer { tls = pki:faulty(kind) }
    local c = t:client { broker = peer, tls = { ca = pki.ca, crl = pki.crl } }
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(told(t)):contains(why)
    t:wait(function()
      return told(t):find("the client refused the TLS handshake: TLS alert " .. alert, 1, true)
    end)
    expect(#peer:received()):equals(0)
  end)
end

scenario("a connect that fails says why, whole", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local c = t:client { broker = t:peer { tls = pki:faulty "untrusted" }, tls = { ca = pki.ca } }
  expect(function() c:connect() end):raises(
    "%-1 %(FAILURE%), the socket failed: the server's certificate %(CN=localhost, O=mqrig%) is not trusted: "
      .. 'nothing in tls%.ca has signed it; it names "CN=mqrig throw%-away CA, O=mqrig" as its issuer$')
end)

for _, kind in ipairs { "expired", "not_yet_valid", "untrusted", "self_signed", "revoked", "weak", "wrong_purpose" } do
  scenario(("a server refuses a client whose certificate is %s"):format(kind), { tags = { "tls" } }, function(t)
    local pki = t:pki()
    local mine, theirs = pki.server, pki:faulty(kind, "client")
    local peer = t:peer { tls = { cert = mine.cert, key = mine.key, ca = pki.ca, crl = pki.crl } }
    local c = t:client { broker = peer, tls = { ca = pki.ca, cert = theirs.cert, key = theirs.key } }
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(told(t)):contains "the client's certificate"
    expect(told(t)):contains "the server refused the TLS handshake: TLS alert"
    expect(#peer:received()):equals(0)
  end)
end

scenario("a server that asks for a certificate takes a good one only", { tags = { "tls" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = { cert = pki.server.cert, key = pki.server.key, ca = pki.ca } }
  t:connect { broker = peer, tls = { ca = pki.ca, cert = pki.client.cert, key = pki.client.key } }
  local c = t:client { broker = peer, tls = { ca = pki.ca } }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "the client showed no certificate, and tls.ca asks for one"
end)

-- The same against another implementation.

for _, row in ipairs(server_faults) do
  local kind, why = row[1], row[2]
  local options = { tags = { "tls" }, broker = "mosquitto", net = "real" }
  if kind ~= "weak" then -- which it does not load
    scenario(("a client refuses a mosquitto whose certificate is %s"):format(kind), options, function(t)
      local pki = t:pki()
      local broker = t:mosquitto { tls = pki:faulty(kind) }
      local c = t:client { broker = broker, tls = { ca = pki.ca, crl = pki.crl } }
      expect(c:try_connect()):equals(mqtt.FAILURE)
      expect(told(t)):contains(why)
    end)
  end
end

scenario("a client refuses a mosquitto whose certificate is a client's", { tags = { "tls" }, broker = "mosquitto",
  net = "real" }, function(t)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki:faulty "wrong_purpose" }
  local c = t:client { broker = broker, tls = { ca = pki.ca } }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "is for another purpose"
end)

for _, kind in ipairs { "expired", "not_yet_valid", "untrusted", "self_signed", "revoked", "wrong_purpose" } do
  scenario(("mosquitto refuses a client whose certificate is %s"):format(kind), { tags = { "tls" },
    broker = "mosquitto", net = "real" }, function(t)
    local pki = t:pki()
    local broker = t:mosquitto {
      tls = { cert = pki.server.cert, key = pki.server.key, ca = pki.ca, crl = pki.crl, min_version = "1.2" },
    }
    local mine = pki:faulty(kind, "client")
    local c = t:client { broker = broker, tls = { ca = pki.ca, cert = mine.cert, key = mine.key } }
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(told(t)):contains "TLS alert"
    t:connect { broker = broker, tls = { ca = pki.ca, cert = pki.client.cert, key = pki.client.key } }
  end)
end
