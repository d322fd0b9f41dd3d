-- mqrig-proxy between Eclipse mosquitto and its own clients, as a user runs it: scenarios start the programs and look
-- at what each of them prints. MQRIG_PROXY is the program under test.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

program.write("through.lua", [==[
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect
local executable = os.getenv "MQRIG_PROXY"

local function start(t, upstream, ...)
  local p = t:process { executable, "127.0.0.1:0", upstream, "--seed", 1, ... }
  return p, p:wait_output "listen.-tcp://127.0.0.1:(%d+)"
end

local function ends(p, signal, status)
  p:signal(signal or "TERM")
  expect(p:wait()):equals(status or 0)
end

local function publish(t, port, ...)
  return t:process { "stdbuf", "-oL", "mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-i", "pub", "-t", "a/b", "-m",
    "hello", ... }
end

scenario("messages go through, and are counted", function(t)
  local broker = t:mosquitto()
  local p, port = start(t, broker.url)
  local sub = t:process { "stdbuf", "-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", port, "-i", "sub",
    "-t", "a/#", "-C", 3, "-q", 2 }
  sub:wait_output "Subscribed"
  for qos = 0, 2 do
    expect(publish(t, port, "-q", qos):wait()):equals(0)
  end
  expect(sub:wait()):equals(0)
  local _, count = sub.stdout:gsub("\nhello", "")
  expect(count):equals(3)
  -- At DISCONNECT both ends close: either may be the first.
  p:wait_output '"sub" ended after [%d.]+ s: closed by the %a+; packets up %d+ down %d+, bytes up %d+ down %d+'
  t:process { "kill", "-USR1", p.pid }
  p:wait_output "connections 4, open 0, not connected to the upstream 0, firings 0; packets up %d+ down %d+"
  ends(p)
  expect(p.stderr):equals ""
end)

scenario("a rule resets a publisher in the middle of its packet", function(t)
  local p, port = start(t, t:mosquitto().url, "--fault", "up PUBLISH at_byte 5 rst")
  local pub = publish(t, port, "-q", 1, "-d")
  p:wait_output '#1 !! up PUBLISH at_byte 5 rst, at packet up 2'
  p:wait_output '#1 "pub" ended after [%d.]+ s: reset by a rule'
  ends(p)
  expect(pub:wait()):differs(0)
end)

scenario("a PUBACK that is dropped is waited for; the message is there", function(t)
  local broker = t:mosquitto()
  local p, port = start(t, broker.url, "--json", "--fault", "down PUBACK first drop")
  local c = t:connect { url = broker.url }
  c:subscribe("a/#", 1)
  local pub = publish(t, port, "-q", 1)
  expect(c:next_message().payload):equals "hello"
  p:wait_output('{"event":"fired","s":[%d.]+,"connection":1,"rule":"down PUBACK first drop",'
    .. '"direction":"down","packet":2,"offset":4}')
  expect(pub.running):is_true()
  ends(p, "INT")
  p:wait_output '{"event":"rule","s":[%d.]+,"rule":"down PUBACK first drop","seen":1,"fired":1,"met":true}'
  p:wait_output '{"event":"summary","s":[%d.]+,"connections":1,'
  expect(pub:wait()):differs(0)
end)

scenario("an upstream that is not there refuses each client, and is named", function(t)
  for _, upstream in ipairs { "tcp://127.0.0.1:1", "tcp://no..such:1883" } do
    local p, port = start(t, upstream)
    for n = 1, 2 do
      expect(publish(t, port):wait()):differs(0)
      local host = upstream:match("//(.*):"):gsub("%.", "%%.")
      p:wait_output(("#%d ended after [%%d.]+ s: .*%s"):format(n, host))
    end
    ends(p)
    p:wait_output "connections 2, open 0, not connected to the upstream 2"
  end
end)

scenario("an upstream that comes back is connected to again", function(t)
  local broker = t:mosquitto()
  local p, port = start(t, broker.url)
  expect(publish(t, port, "-q", 1):wait()):equals(0)
  broker:stop()
  expect(publish(t, port, "-q", 1):wait()):differs(0)
  broker:start()
  expect(publish(t, port, "-q", 1):wait()):equals(0)
  ends(p)
end)

scenario("a rule that must fire and did not is the exit status", function(t)
  local p = start(t, "127.0.0.1:1", "--fault", "up PUBLISH drop must_fire 2")
  ends(p, "TERM", 1)
  p:wait_output "rule up PUBLISH drop must_fire 2: seen 0, fired 0, but was to fire more often"
end)

scenario("an address that cannot be had is a sentence and exit status 5", function(t)
  local p, port = start(t, "127.0.0.1:1")
  local second = t:process { executable, "127.0.0.1:" .. port, "127.0.0.1:1" }
  expect(second:wait()):equals(5)
  expect(second.stderr):contains(("cannot listen at 127.0.0.1:%s: somebody else does already"):format(port))
  expect(second.stdout):equals ""
  ends(p)
  local other = t:process { executable, "192.0.2.1:0", "127.0.0.1:1" }
  expect(other:wait()):equals(5)
  expect(other.stderr):contains "this machine does not have that address"
end)

scenario("wrong usage is a sentence and exit status 2", function(t)
  local wrong = {
    { { ":0", "127.0.0.1:1", "--fault", "up PUBLISH nht 3 drop" }, "column 12", 'did you mean "nth"' },
    { { ":0", "127.0.0.1:1", "--fault", "up PUBLISH where drop" }, "needs a function" },
    { { ":0", "127.0.0.1:1", "--fault" }, "%-%-fault needs a value" },
    { { ":0", "127.0.0.1:1", "--fautl=x" }, 'did you mean "%-%-fault"' },
    { { ":0", "127.0.0.1:1", "--json=yes" }, "takes no value" },
    { { ":0", "127.0.0.1:1", "--seed", "-1" }, "whole number" },
    { { ":0", "127.0.0.1:1", "--max-connections", "0" }, "whole number" },
    { { ":0", "127.0.0.1:1", "--connect-timeout", "soon" }, "duration" },
    { { ":0", "127.0.0.1:1", "third" }, 'what is "third"' },
    { { ":0" }, "UPSTREAM is missing" },
    { {}, "LISTEN is missing" },
    { { ":0", "127.0.0.1:70000" }, 'UPSTREAM "127.0.0.1:70000": bad port' },
    { { ":0", "http://127.0.0.1" }, 'UPSTREAM "http://127.0.0.1": ' },
  }
  for _, row in ipairs(wrong) do
    local p = t:process { executable, table.unpack(row[1]) }
    expect(p:wait()):equals(2)
    expect(p.stdout):equals ""
    for i = 2, #row do
      expect(p.stderr):matches(row[i])
    end
  end
end)

scenario("help and version are printed", function(t)
  local help = t:process { executable, "--help" }
  expect(help:wait()):equals(0)
  expect(help.stdout):contains "--fault RULE"
  local version = t:process { executable, "--version" }
  expect(version:wait()):equals(0)
  expect(version.stdout):matches "^mqrig%-proxy %d+%.%d+%.%d+\n$"
end)

scenario("contradictory rules do what they say, in their order", function(t)
  local broker = t:mosquitto()
  local p, port = start(t, broker.url, "--fault", "up PUBLISH drop", "--fault", "up PUBLISH delay 1ms", "--fault",
    "up PUBLISH rst may_fire")
  expect(publish(t, port):wait()):equals(0)
  p:wait_output '"pub" ended after [%d.]+ s: closed by the %a+'
  ends(p)
  p:wait_output "rule up PUBLISH drop: seen 1, fired 1"
  p:wait_output "rule up PUBLISH rst may_fire: seen 0, fired 0"
end)

-- The verb of mqrig.
local mqrig = os.getenv "MQRIG"

scenario("mqrig proxy runs a script beside its rules", function(t)
  local p = t:process { mqrig, "proxy", "127.0.0.1:0", t:mosquitto().url, "--seed", 1, "--script", "rules.lua",
    "--fault", "up PUBLISH delay 1ms" }
  local port = p:wait_output "listening at tcp://127.0.0.1:(%d+)"
  p:wait_output "the script runs"
  expect(publish(t, port, "-q", 1):wait()):equals(0)
  p:wait_output "the script saw 1"
  p:wait_output '#1 "pub" ended after [%d.]+ s: closed by the %a+'
  ends(p)
  p:wait_output "rule up PUBLISH delay 1ms: seen 1, fired 1"
  p:wait_output "connections 1, open 0, not connected to the upstream 0, firings 2;"
end)

scenario("mqrig proxy: what is wrong is a sentence and a status", function(t)
  local p, port = start(t, "127.0.0.1:1")
  local rows = {
    { 5, "in use", "127.0.0.1:" .. port, "127.0.0.1:1" },
    { 2, "UPSTREAM: ", ":0", "http://a" },
    { 2, 'did you mean "PUBLISH"', ":0", ":1", "--fault", "up PUBLSH drop" },
    { 2, "whole number", ":0", ":1", "--seed", "x" },
    { 3, "nothing.lua", ":0", ":1", "--script", "nothing.lua" },
    { 1, "bad.lua:1: this is wrong", ":0", ":1", "--script", "bad.lua" },
    { 1, "must_fire", ":0", ":1", "--fault", "up PUBLISH drop must_fire" },
  }
  for _, row in ipairs(rows) do
    local wrong = t:process { mqrig, "proxy", table.unpack(row, 3) }
    if row[2] == "must_fire" then
      wrong:wait_output "listening"
      wrong:signal "TERM"
    end
    expect(wrong:wait()):equals(row[1])
    expect(wrong.output):contains(row[2])
  end
  ends(p)
end)
]==])
program.write("rules.lua", [[
local first = proxy.up:on("PUBLISH"):first():delay(0.001)
print "the script runs"
first:wait()
print("the script saw " .. first.fired)
]])
program.write("bad.lua", 'error "this is wrong"')
program.gives("run through.lua -j auto", 0, "\n%d+ passed, 0 failed, 0 skipped\n$")
program.finish()
