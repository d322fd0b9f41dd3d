-- The proxy's two programs with TLS at their ends, between Eclipse mosquitto and its own clients, openssl's, and ours.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

program.write("encrypted.lua", [==[
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect
local programs = { ["mqrig-proxy"] = { "mqrig-proxy" }, ["mqrig proxy"] = { "mqrig", "proxy" } }

local function each(name, body)
  for called, words in pairs(programs) do
    scenario(called .. ": " .. name, function(t)
      body(t, function(...)
        local command = table.move({ ... }, 1, select("#", ...), #words + 1, { table.unpack(words) })
        return t:process(command)
      end)
    end)
  end
end

local function port_of(p)
  return p:wait_output "listen.-://127.0.0.1:(%d+)"
end

local function ends(p)
  p:signal "TERM"
  expect(p:wait()):equals(0)
end

local function publish(t, port, ...)
  return t:process { "mosquitto_pub", "-h", "localhost", "-p", port, "-i", "pub", "-t", "a/b", "-m", "hello", "-q", 1,
    ... }
end

local function is_there(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

each("TLS ends at the proxy and begins anew; rules and captures look inside", function(t, run)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki.server }
  local capture = os.tmpname()
  local p = run("ssl://127.0.0.1:0", broker.url, "--upstream-tls-ca", pki:file(pki.ca), "--capture", capture,
    "--fault", "down PUBACK nth 2 drop")
  local port = port_of(p)
  local ca = p:wait_output "CA made for this run, which clients trust by (%S+)"
  expect(publish(t, port, "--cafile", ca):wait()):equals(0)
  local second = publish(t, port, "--cafile", ca)
  expect(second:wait()):equals(0)
  local first = publish(t, port, "--cafile", ca, "--repeat", 2)
  p:wait_output "#3 !! down PUBACK nth 2 drop, at packet down 3"
  expect(first.running):is_true()
  ends(p)
  expect(is_there(ca)):is_false()
  local file <close> = io.open(capture, "rb")
  local recorded = file:read "a"
  os.remove(capture)
  local _, both = recorded:gsub("\0\3a/b..hello", "")
  expect(both):equals(8)
end)

each("openssl's client trusts the CA that was made, and speaks MQTT to a plain broker", function(t, run)
  local ca = os.tmpname()
  local p = run("mqtts://127.0.0.1:0", t:mosquitto().url, "--tls-ca-out", ca)
  local port = port_of(p)
  local connect = [[\020\014\0\004MQTT\004\002\0\074\0\0]]
  local client = t:process { "sh", "-c", ([=[printf '%s' | openssl s_client -quiet -verify_return_error \
    -CAfile %s -verify_hostname localhost -connect 127.0.0.1:%s | od -An -tx1 -N4 -v]=]):format(connect, ca, port) }
  client:wait_output "20 02 00 00"
  p:wait_output "#1 "
  ends(p)
  expect(is_there(ca)):is_true()
  os.remove(ca)
end)

each("clients are to show a certificate", function(t, run)
  local pki = t:pki()
  local ca = pki:file(pki.ca)
  local p = run("ssl://127.0.0.1:0", t:mosquitto().url, "--tls-cert", pki:file(pki.server.cert), "--tls-key",
    pki:file(pki.server.key), "--tls-ca", ca)
  local port = port_of(p)
  expect(publish(t, port, "--cafile", ca, "--cert", pki:file(pki.client.cert), "--key", pki:file(pki.client.key)):wait())
    :equals(0)
  expect(publish(t, port, "--cafile", ca):wait()):differs(0)
  p:wait_output "#2 ended after [%d.]+ s: the client failed: the client showed no certificate, and %-%-tls%-ca asks for one"
  ends(p)
end)

each("plain clients come to a broker with TLS, if its certificate is good", function(t, run)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki.server }
  local insecure = run("127.0.0.1:0", broker.url, "--upstream-tls-insecure", "--fault", "up PUBLISH dup 2")
  expect(publish(t, port_of(insecure)):wait()):equals(0)
  insecure:wait_output "!! up PUBLISH dup 2"
  ends(insecure)
  local wary = run("127.0.0.1:0", broker.url)
  expect(publish(t, port_of(wary)):wait()):differs(0)
  wary:wait_output "#1 ended after .-: the server's certificate .- is not trusted: nothing in the system's"
  wary:wait_output "no %-%-upstream%-tls%-ca is given"
  ends(wary)
end)

each("who speaks another language than the URL says is told", function(t, run)
  local pki = t:pki()
  local encrypted = t:mosquitto { tls = pki.server }
  local p = run("ssl://127.0.0.1:0", t:mosquitto().url)
  expect(publish(t, port_of(p)):wait()):differs(0)
  p:wait_output "#1 ended after .-: the client failed: .-it looks like plain MQTT %(CONNECT%)"
  ends(p)
  local plain = run("127.0.0.1:0", (t:peer({ tls = pki.server }).url:gsub("^%a+", "tcp")))
  expect(t:client({ url = "tcp://127.0.0.1:" .. port_of(plain) }):try_connect()):equals(-1)
  plain:wait_output "#1 .-ended after .-: the upstream speaks TLS, and the URL of the upstream is of another scheme"
  ends(plain)
  local other = run("127.0.0.1:0", encrypted.url, "--upstream-tls-insecure")
  expect(publish(t, port_of(other), "--cafile", pki:file(pki.ca)):wait()):differs(0)
  other:wait_output "the client speaks TLS, and the URL to listen at is of another scheme than ssl://"
  ends(other)
  local upward = run("127.0.0.1:0", (t:mosquitto().url:gsub("^%a+", "ssl")), "--upstream-tls-insecure")
  expect(publish(t, port_of(upward)):wait()):differs(0)
  upward:wait_output "#1 ended after .-: .- may "
  ends(upward)
end)

each("TLS that goes through is left alone, and who has rules on packets is told", function(t, run)
  local pki = t:pki()
  local broker = t:mosquitto { tls = pki.server }
  local p = run("127.0.0.1:0", (broker.url:gsub("^%a+", "tcp")), "--fault", "both any drop")
  local port = port_of(p)
  for _ = 1, 2 do
    expect(publish(t, port, "--cafile", pki:file(pki.ca)):wait()):equals(0)
  end
  ends(p)
  local _, told = p.stdout:gsub("what goes through is TLS, in which rules on packets see none", "")
  expect(told):equals(1)
  expect(p.stdout):contains "firings 0"
end)

each("rules on tls are about the TLS that ends here", function(t, run)
  local ca = os.tmpname()
  local p = run("ssl://127.0.0.1:0", t:mosquitto().url, "--tls-ca-out", ca, "--fault",
    "down tls first alert internal_error ServerHello")
  local port = port_of(p)
  expect(publish(t, port, "--cafile", ca):wait()):differs(0)
  p:wait_output "#1 !! down tls first alert internal_error ServerHello"
  expect(publish(t, port, "--cafile", ca):wait()):equals(0)
  ends(p)
  os.remove(ca)
  local none = run("127.0.0.1:0", "127.0.0.1:1", "--fault", "down tls alert internal_error")
  expect(none:wait()):equals(2)
  expect(none.output):contains "a proxy has no TLS of its own"
end)

each("WebSocket at one end", function(t, run)
  local p = run("ws://127.0.0.1:0/mqtt", t:mosquitto().url, "--fault", "down PUBACK first drop")
  local c = t:connect { url = ("ws://127.0.0.1:%s/mqtt"):format(port_of(p)) }
  c:subscribe("a", 0)
  c:send("a", "b", { qos = 1 })
  expect(c:next_message().payload):equals "b"
  p:wait_output "!! down PUBACK first drop"
  ends(p)
end)

each("proxies that are made over HTTP have TLS by their URLs", function(t, run)
  local pki = t:pki()
  local ca = os.tmpname()
  local broker = t:mosquitto { tls = pki.server }
  local p = run("--control", 0, "--tls-ca-out", ca, "--upstream-tls-ca", pki:file(pki.ca))
  local url = p:wait_output "control at (%S+)"
  local function ctl(...)
    local asked = t:process { "mqrig", "proxy", "ctl", "--url", url, ... }
    return asked:wait(), asked.output
  end
  expect((ctl("create", "a", "--listen", "ssl://127.0.0.1:0", "--upstream", broker.url))):equals(0)
  local _, shown = ctl("list", "--json")
  local port = shown:match '"listen": ?"ssl://127.0.0.1:(%d+)"'
  expect(shown):contains(broker.url)
  expect((ctl("toxic", "add", "a", "--type", "mqtt", "--attribute", "rule=up PUBLISH first dup 2"))):equals(0)
  expect(publish(t, port, "--cafile", ca):wait()):equals(0)
  p:wait_output "up PUBLISH first dup 2"
  ends(p)
  os.remove(ca)
  local bare = run("--control", 0)
  url = bare:wait_output "control at (%S+)"
  local status, why = ctl("create", "a", "--listen", "ssl://127.0.0.1:0", "--upstream", broker.url)
  expect(status):equals(1)
  expect(why):contains "on a command line --tls-cert and --tls-key"
  ends(bare)
end)

each("what is set up wrongly is named, with status 2", function(t, run)
  local pki, other = t:pki(), t:pki()
  local cert, key = pki:file(pki.server.cert), pki:file(pki.server.key)
  local rows = {
    { "ssl", "--tls-cert (nothing.pem) cannot be opened: No such file", "--tls-cert", "nothing.pem", "--tls-key", key },
    { "ssl", "--tls-cert (/) is a directory", "--tls-cert", "/", "--tls-key", key },
    { "ssl", "--tls-key (/dev/null) is empty", "--tls-cert", cert, "--tls-key", "/dev/null" },
    { "ssl", "is not PEM", "--tls-cert", "/proc/self/status", "--tls-key", key },
    { "ssl", "does not belong to the certificate of --tls-cert", "--tls-cert", cert, "--tls-key",
      pki:file(other.server.key) },
    { "ssl", "--tls-cert is given, but no --tls-key", "--tls-cert", cert },
    { "ssl", "--tls-psk is given, but no --tls-psk-identity", "--tls-psk", "00" },
    { "ssl", "--tls-ca-out is for a CA made for this run", "--tls-cert", cert, "--tls-key", key, "--tls-ca-out", "a" },
    { "ssl", "the upstream's side has --upstream-tls-insecure", "--tls-insecure" },
    { "ssl", 'did you mean "--tls-psk-identity"', "--tls-psk-idnetity", "x" },
    { "ssl", "--tls-ciphers: this mbedTLS knows no", "--tls-ciphers", "RC4" },
    { "ssl", "--tls-cert FILE: it is empty", "--tls-cert=" },
    { "tcp", "--tls-cert is for TLS: LISTEN would begin with ssl://", "--tls-cert", cert, "--tls-key", key },
    { "tcp", "--upstream-tls-ca is for TLS: UPSTREAM would begin with", "--upstream-tls-ca", cert },
    { "ssl", "for LISTEN there are --tls-...", "--upstream-tls-ca", cert },
  }
  for _, row in ipairs(rows) do
    local p = run(row[1] .. "://127.0.0.1:0", "tcp://127.0.0.1:1", table.unpack(row, 3))
    expect(p:wait()):equals(2)
    expect(p.output):contains(row[2])
  end
  local encrypted = os.tmpname()
  t:process({ "openssl", "ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", encrypted }):wait()
  local wrong = run("ssl://127.0.0.1:0", "127.0.0.1:1", "--tls-cert", cert, "--tls-key", encrypted,
    "--tls-passphrase", "other")
  expect(wrong:wait()):equals(2)
  expect(wrong.output):contains "--tls-passphrase is not the one that it is encrypted with"
  os.remove(encrypted)
  local unwritable = run("ssl://127.0.0.1:0", "127.0.0.1:1", "--tls-ca-out", "/no/such/ca.pem")
  expect(unwritable:wait()):equals(5)
  expect(unwritable.output):contains "the CA made for this run cannot be written to /no/such/ca.pem"
end)
]==])
program.gives("run encrypted.lua -j 2", 0, "\n%d+ passed, 0 failed, 0 skipped\n$")
program.finish()
