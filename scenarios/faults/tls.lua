-- Faults of TLS, as rules on `tls`: what a handshake does wrong, and how a connection ends without a word.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- What the timeline tells.
local function told(t)
  return table.concat(t.timeline:lines(200), "\n")
end

local certificates = {
  { "expired", "expired on 2020-12-31" },
  { "wrong_host", "does not match the server's certificate" },
  { "untrusted", "is not trusted" },
}

for _, row in ipairs(certificates) do
  scenario(("a broker shows a certificate that is %s, once"):format(row[1]), { tags = { "tls", "faults" } }, function(t)
    local peer = t:peer { transport = "tls" }
    peer.down:on("tls"):first():cert(row[1])
    local c = t:client { broker = peer }
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(told(t)):contains(row[2])
    expect(c:try_connect()):equals(0)
  end)
end

scenario("a broker ends a connection by an alert", { tags = { "tls", "faults" } }, function(t)
  local peer = t:peer { transport = "tls" }
  peer.down:on("tls"):first():alert("internal_error")
  local c = t:client { broker = peer }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "the server ended the connection: TLS alert internal_error"
  c:connect()
end)

for _, who in ipairs { "the broker", "the client" } do
  scenario(("an alert by %s in the middle of a stream ends it"):format(who), { tags = { "tls", "faults" } }, function(t)
    local peer = t:peer { transport = "tls" }
    local c = t:connect { broker = peer }
    local link = who == "the broker" and peer:conn().link or c.link
    c:publish("a", "b", { qos = 1 })
    link:alert "no_renegotiation"
    c:publish("a", ("x"):rep(20000), { qos = 2 })
    peer:on("PUBLISH", function() end)
    local sent = c:send("a", "b", { qos = 1 })
    t:wait(function()
      return #peer:received "PUBLISH" == 3
    end)
    link:alert "internal_error"
    expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(c:wait_lost()):equals(mqtt.FAILURE)
    local side = who:match "%a+$" == "broker" and "server" or "client"
    t:wait(function()
      return told(t):find(("the %s ended the connection: TLS alert internal_error"):format(side), 1, true)
    end)
    expect(told(t)):contains "the scenario sent the TLS alert internal_error"
  end)
end

scenario("an alert that cannot be is refused", { tags = { "tls", "faults" } }, function(t)
  local c = t:connect { broker = t:peer { transport = "tls" } }
  expect(function() c.link:alert "internal_eror" end):raises 'did you mean "internal_error"'
  expect(function() c.link:alert() end):raises "the name of a TLS alert"
  local plain = t:connect { broker = t:peer { transport = "tcp" } }
  expect(function() plain.link:alert "internal_error" end):raises "the connection has none"
  c:disconnect()
  expect(function() c.link:alert "internal_error" end):raises "no connection that is up"
end)

scenario("a broker refuses a handshake by an alert", { tags = { "tls", "faults" } }, function(t)
  local peer = t:peer { transport = "tls" }
  peer.down:on("tls"):first():alert("handshake_failure", "ServerHello")
  local c = t:client { broker = peer }
  expect(c:try_connect()):equals(mqtt.FAILURE)
  expect(told(t)):contains "the server refused the TLS handshake: TLS alert handshake_failure"
end)

scenario("a warning breaks nothing", { tags = { "tls", "faults" } }, function(t)
  local peer = t:peer { transport = "tls" }
  peer.down:on("tls"):nth(1):alert("no_renegotiation")
  t:connect({ broker = peer }):publish("a", "b", { qos = 1 })
end)

for _, message in ipairs { "ServerHello", "Certificate", "ServerHelloDone", "ServerFinished" } do
  scenario(("a handshake that stands still at %s for good ends by the timeout"):format(message),
    { tags = { "tls", "faults" } }, function(t)
      local peer = t:peer { transport = "tls" }
      peer.down:on("tls"):first():stall_at(message)
      local c = t:client { broker = peer, timeout = "200ms" }
      expect(function() c:connect() end):raises "no CONNACK within the timeout of connect: TLS waits for %a+$"
    end)

  scenario(("a handshake that stands still at %s for a while comes to its end"):format(message),
    { tags = { "tls", "faults" } }, function(t)
      local peer = t:peer { transport = "tls" }
      peer.down:on("tls"):first():stall_at(message, "100ms")
      local began = t:now()
      local c = t:connect { broker = peer }
      expect(t:now() - began):is_at_least(0.1)
      c:publish("a", "b", { qos = 1 })
    end)
end

scenario("a client stands still in its handshake", { tags = { "tls", "faults" } }, function(t)
  local c = t:client { broker = t:peer { transport = "tls" } }
  c.link.up:on("tls"):nth(1):stall_at("ClientKeyExchange", "50ms")
  c:connect()
end)

scenario("an end without close_notify is a failure of the socket", { tags = { "tls", "faults" } }, function(t)
  local peer = t:peer { transport = "tls" }
  peer.down:on("tls"):first():close_without_notify()
  local c = t:connect { broker = peer }
  peer:conn():close()
  expect(c:wait_lost()):equals(mqtt.FAILURE)
  expect(told(t)):contains "without a close_notify"
end)

for _, end_ in ipairs { "up", "down" } do
  scenario(("a record that is altered on its way %s breaks the connection"):format(end_), { tags = { "tls", "faults" } },
    function(t)
      local peer = t:peer { transport = "tls" }
      local c = t:connect { broker = peer }
      c.link[end_]:on("bytes"):corrupt { byte = 8, bit = 0 }
      c:send("a", "b", { qos = 1 })
      expect(c:wait_lost()):equals(mqtt.FAILURE)
      t:wait(function()
        return told(t):find("its MAC is wrong", 1, true)
      end)
    end)
end

scenario("a handshake in single bytes", { tags = { "tls", "faults" } }, function(t)
  local c = t:client { broker = t:peer { transport = "tls" } }
  c.link.both:on("bytes"):split(1)
  c:connect()
  c:publish("a", ("x"):rep(500), { qos = 2 })
end)

scenario("a record of 16 KiB in single bytes", { tags = { "tls", "faults" }, timeout = 30 }, function(t)
  local c = t:connect { broker = t:peer { transport = "tls" } }
  c:subscribe("a", 0)
  c.link.both:on("bytes"):split(1)
  c:publish("a", ("x"):rep(16384), { qos = 1, within = 20 })
  expect(#c:next_message({ within = 20 }).payload):equals(16384)
end)

scenario("a half-closed TLS connection goes on in the other half", { tags = { "tls", "faults" } }, function(t)
  local peer = t:peer { transport = "tls" }
  local c = t:connect { broker = peer }
  peer:pause() -- it does not close before it has sent these
  c.link:fin()
  for _ = 1, 3 do
    peer:send("PUBLISH", { topic = "a", payload = ("x"):rep(20000) })
  end
  peer:resume()
  for _ = 1, 3 do
    expect(#c:next_message().payload):equals(20000)
  end
  expect(c:wait_lost()):equals(mqtt.FAILURE)
  expect(told(t)):contains "peer1#1 ended closed by the other end"
end)

scenario("rules on TLS that cannot be are refused where they are said", { tags = { "tls", "faults" } }, function(t)
  local peer = t:peer { transport = "tls" }
  expect(function() peer.down:on("tls"):cert("expird") end):raises 'did you mean "expired"'
  expect(function() peer.down:on("tls"):cert("wrong_purpose") end):raises "does not show such a certificate"
  expect(function() peer.down:on("tls"):alert("internal_eror") end):raises 'did you mean "internal_error"'
  expect(function() peer.down:on("tls"):stall_at("Hello") end):raises "there is no handshake message"
  expect(function() peer.down:on("tls"):drop() end):raises "tls"
  expect(function() peer.down:on("PUBLISH"):alert("internal_error") end):raises "it is about TLS"
  local c = t:client { broker = peer }
  expect(function() c.link.up:on("tls"):cert("expired") end):raises 'pki:faulty%("expired", "client"%)'
  expect(function() t:peer({ transport = "tcp" }).down:on("tls"):cert("expired") end):raises "has no TLS of its own"
end)

scenario("a proxy that ends TLS does it wrong, towards its clients and towards the broker", { tags = { "tls", "faults" } },
  function(t)
    local pki = t:pki()
    local peer = t:peer { tls = pki.server }
    local proxy = t:proxy { upstream = peer, tls = pki.server, upstream_tls = { ca = pki.ca } }
    local c = t:client { url = proxy.url, tls = { ca = pki.ca } }
    local down = proxy.both:on("tls"):first():alert("internal_error", "ServerHello")
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(told(t)):contains "the server refused the TLS handshake: TLS alert internal_error"
    local up = proxy.up:on("tls"):first():alert("access_denied")
    expect(c:try_connect()):equals(mqtt.FAILURE)
    t:wait(function()
      return peer:log():find("the client ended the connection: TLS alert access_denied", 1, true)
    end)
    expect(down.fired + up.fired):equals(2)
    c:connect()
  end)

scenario("a proxy has rules on tls only where it has TLS", { tags = { "tls", "faults" } }, function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local plain = t:proxy { upstream = peer }
  expect(function() plain:on("tls"):alert "internal_error" end):raises "a proxy has no TLS of its own"
  local half = t:proxy { upstream = peer, upstream_tls = { ca = pki.ca } }
  expect(function() half.down:on("tls"):alert "internal_error" end):raises "has no TLS of its own towards clients"
  expect(function() half.up:on("tls"):cert "expired" end):raises "shows the certificate of its option tls"
  half:on("tls"):stall_at("ClientKeyExchange", 0.01)
  t:connect { url = half.url }
end)
