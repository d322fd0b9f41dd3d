-- What is set up wrongly: each says which option or file, and why.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- What the timeline tells.
local function told(t)
  return table.concat(t.timeline:lines(200), "\n")
end

local tags = { tags = { "tls" } }

local function refused(t, options, pattern)
  expect(function()
    t:client({ url = "mqtts://127.0.0.1:1", tls = options }):connect()
  end):raises(pattern)
end

scenario("files that are none", { tags = { "tls" }, net = "real" }, function(t)
  local pki = t:pki()
  refused(t, { ca = "/nowhere/ca.pem" }, "tls%.ca %(/nowhere/ca%.pem%) cannot be opened: No such file")
  refused(t, { ca = "/dev/null" }, "tls%.ca %(/dev/null%) is empty")
  refused(t, { ca = "/tmp" }, "tls%.ca %(/tmp%) is a directory")
  local text = pki:file "hello, this is no certificate"
  refused(t, { ca = text }, "is not PEM: there is no line that begins with %-%-%-%-%-BEGIN")
  refused(t, { cert = text, key = text }, "tls%.cert %(.*%) is not PEM")
  t:connect { broker = t:peer { tls = pki.server }, tls = { ca = pki:file(pki.ca) } }
end)

scenario("texts that are none", tags, function(t)
  local pki = t:pki()
  refused(t, { ca = "" }, "tls%.ca is an empty text")
  refused(t, { ca = pki.server.key }, "tls%.ca is PEM, but holds no %-%-%-%-%-BEGIN %.%.%.CERTIFICATE")
  refused(t, { ca = (pki.ca:gsub("\n.", "\nA", 2)) }, "tls%.ca: no certificate in it can be read")
  refused(t, { ca = pki.ca, crl = pki.ca }, "tls%.crl is PEM, but holds no")
  refused(t, { crl = pki.crl }, "tls%.crl is given, but no tls%.ca")
  refused(t, { cert = pki.client.cert }, "tls%.cert is given, but no tls%.key")
  refused(t, { key = pki.client.key }, "tls%.key is given, but no tls%.cert")
  refused(t, { cert = pki.client.cert, key = pki.server.key }, "tls%.key does not belong to the certificate of tls%.cert")
end)

-- Made by: openssl ec -aes128, passphrase "right".
local encrypted = [[
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,C01030FE326368DEDAA513BA46419853

jL9pExkcAtaJ5xLCX74F2MiD+yyRhcNzudtFjZHYbiwjJmbqKzuximApvfUHczrP
vZqdSSoK23AOMX6L9Jn5PGOXJjZnQsU88TiSQ7gitSV0j340FIs3T/rYcyP7ikYP
1u37zRyuoAD8wBwiosApJ2dKmEUMlj+d6yf1nTaZMFA=
-----END EC PRIVATE KEY-----
]]

scenario("a key that is encrypted", tags, function(t)
  local pki = t:pki()
  refused(t, { cert = pki.client.cert, key = encrypted }, "tls%.key is encrypted: tls%.passphrase is needed")
  refused(t, { cert = pki.client.cert, key = encrypted, passphrase = "wrong" },
    "tls%.key: tls%.passphrase is not the one")
  refused(t, { passphrase = "right" }, "tls%.passphrase is given, but no tls%.key")
  refused(t, { cert = pki.client.cert, key = encrypted, passphrase = "right" }, "does not belong to the certificate")
end)

scenario("values that are none", tags, function(t)
  local pki = t:pki()
  refused(t, { ciphers = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA265" }, 'did you mean "TLS%-ECDHE%-ECDSA%-WITH%-AES%-128%-GCM')
  refused(t, { alpn = "" }, "tls%.alpn: a protocol's name is 1 to 255 bytes")
  refused(t, { alpn = 7 }, "tls%.alpn is a text or a list of texts")
  refused(t, { min_version = "1.3" }, 'is "1%.0", "1%.1" or "1%.2", not "1%.3": mqrig speaks no TLS 1%.3')
  refused(t, { min_version = "1.2", max_version = "1.1" }, "tls%.min_version 1%.2 is over tls%.max_version 1%.1")
  refused(t, { psk = "xy", psk_identity = "a" }, "tls%.psk is 1 to 32 bytes in hexadecimal digits")
  refused(t, { psk = "00" }, "tls%.psk is given, but no tls%.psk_identity")
  refused(t, { psk = "00", psk_identity = "a\0b" }, "tls%.psk_identity has a zero byte, at column 2")
  refused(t, { alpn = { "mqtt", "\0" } }, "tls%.alpn has a zero byte, at column 1")
  refused(t, { server_name = "" }, "tls%.server_name is a host name or an address of 1 to 255 bytes, not 0")
  refused(t, { server_name = ("a"):rep(256) }, "tls%.server_name is .* not 256")
  refused(t, { resume = "ticket" }, 'tls%.resume is true, false, "tickets" or "ids"')
  refused(t, { fragment_max = 100 }, "tls%.fragment_max is 512, 1024, 2048 or 4096")
  refused(t, { insecur = true }, 'did you mean "insecure"')
  refused(t, "yes", "tls is a table of options, not a string")
  expect(function() t:peer { url = "mqtts://127.0.0.1:0" } end):raises "takes tls = { cert"
  expect(function() t:peer { tls = { ca = pki.ca } } end):raises "a TLS server needs tls%.cert and tls%.key"
  expect(function() t:peer { url = "tcp://127.0.0.1:0", tls = pki.server } end):raises "not for tcp://"
  expect(function() t:peer { transport = "tsl" } end):raises 'did you mean "tls"'
  expect(function() t:connect { url = "tcp://127.0.0.1:1", tls = { ca = pki.ca } } end)
    :raises "the option tls is for mqtts://, ssl:// and wss://, not for tcp://"
end)

scenario("a proxy says on which side it is", tags, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  expect(function() t:proxy { upstream = peer, upstream_tls = { ca = "/nothing" } } end)
    :raises "upstream_tls%.ca %(/nothing%) cannot be opened"
  expect(function() t:proxy { upstream = peer, tls = { cert = "/nothing", key = "/nothing" } } end)
    :raises ": tls%.cert %(/nothing%) cannot be opened"
  expect(function() t:proxy { upstream = peer, url = "tcp://127.0.0.1:0", tls = pki.server } end)
    :raises "url: the option tls is for"
  expect(function() t:proxy { upstream = "tcp://127.0.0.1:1", upstream_tls = { ca = pki.ca } } end)
    :raises "upstream: the option tls is for"
end)

scenario("plain MQTT on a port with TLS", tags, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local c = t:client { url = (peer.url:gsub("^%a+", "tcp")) }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "the broker speaks TLS at this port"
  expect(told(t)):contains "the client does not speak TLS: it looks like plain MQTT (CONNECT)"
end)

scenario("TLS on a port with plain MQTT", tags, function(t)
  local pki = t:pki()
  local peer = t:peer { transport = "tcp" }
  local c = t:client { url = (peer.url:gsub("^%a+", "ssl")), tls = { ca = pki.ca } }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "it may not speak TLS there at all"
end)

scenario("a reset in the handshake", tags, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local stall = peer.down:on("tls"):first():stall_at "ServerHello"
  local c = t:client { broker = peer, tls = { ca = pki.ca } }
  local result = t:spawn(c.try_connect, c)
  stall:wait()
  peer:conn():rst()
  expect(result:join()):equals(mqtt.FAILURE)
  expect(told(t)):contains "the server reset the connection in the TLS handshake, before ServerHello"
end)
