-- mqrig proxy ctl: every action against mqrig-proxy, and what it says of servers that are not there, or are none.
-- MQRIG_PROXY is the server.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local usage = {
  ["proxy ctl"] = "what is to be done is missing: list, inspect, create, delete, toggle, reset, populate, toxic\n"
    .. "Try: mqrig proxy ctl --help",
  ["proxy ctl lst"] = 'unknown word "lst", did you mean "list"?',
  ["proxy ctl toxic ad p"] = 'unknown word "ad", did you mean "add"?\nTry: mqrig proxy ctl toxic --help',
  ["proxy ctl inspect"] = "missing argument 'proxy'",
  ["proxy ctl list --jsn"] = 'unknown option "--jsn", did you mean "--json"?',
  ["proxy ctl create p"] = "create needs -u/--upstream",
  ["proxy ctl toxic add p"] = "toxic add needs -t/--type",
  ["proxy ctl toxic add p -t latency -u -d"] = "-u/--upstream and -d/--downstream exclude each other",
  ["proxy ctl toxic add p -t latency -a latency"] = '--attribute is KEY=VALUE, not "latency"',
  ["proxy ctl toxic update p -n t --toxicity 2"] = '--toxicity is a share from 0 to 1, not "2"',
  ["proxy ctl toxic remove p"] = "toxic remove needs -n/--name",
  ["proxy ctl populate none.json"] = "none.json: No such file or directory",
  ["proxy ctl --url https://x list"] = "--url: the control interface has no https://",
  ["proxy ctl --url x:99999 list"] = '--url: bad port "99999"',
  ["proxy ctl --timeout soon list"] = "--timeout: a duration is seconds",
}
usage["proxy --control 8474 --fault 'up PUBLISH drop'"] = "LISTEN is missing"
usage["proxy 127.0.0.1:0 --control 8474"] = "UPSTREAM is missing"
usage["proxy --control 'a b'"] = '--control: "a b" is no address for the control interface'
usage["proxy :0 :1 --refuse-by rest"] = '--refuse-by is reset or close, not "rest"'
usage["proxy :0 :1 --max-connections 0"] = '--max-connections is a whole number from 1 on, not "0"'
usage["proxy :0 :1 --connect-timeout 0"] = "--connect-timeout: more than no time is needed"
for line, sentence in pairs(usage) do
  program.says(line, 2, nil, { "mqrig: ", sentence })
end
program.says("help proxy ctl", 0, { "Usage: mqrig proxy ctl", "--url ADDR", "populate" })
program.says("proxy ctl toxic add --help", 0, { "Usage: mqrig proxy ctl toxic add", "-a, --attribute KEY=VALUE" })
program.says("proxy ctl --url 1 list", 5, nil, { "mqrig: nobody listens at http://127.0.0.1:1: ",
  "Connection refused. Start one with: mqrig proxy LISTEN UPSTREAM --control ADDR, or name another by --url" })
program.says("proxy ctl list", 5, nil, "nobody listens at http://localhost:2: ", "TOXIPROXY_URL=http://localhost:2/")

program.write("drive.lua", [==[
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect
local mqrig, proxy = os.getenv "MQRIG", os.getenv "MQRIG_PROXY"

-- Runs an action and returns what it printed, without the last line end.
local function ctl(t, status, url, ...)
  local p = t:process { mqrig, "proxy", "ctl", "--url", url, ... }
  expect(p:wait()):equals(status)
  return ((status == 0 and p.stdout or p.stderr):gsub("\n$", ""))
end

scenario("every action is done, and shown", function(t)
  local server = t:process { proxy, "--control", 0 }
  local url = server:wait_output "control at (http://%S+)"
  local function done(...)
    return ctl(t, 0, url, ...)
  end
  local function refused(...)
    return ctl(t, 1, url, ...)
  end
  expect(done "list"):equals "no proxies"
  expect(refused("inspect", "one")):equals 'mqrig: there is no proxy "one", there is none'
  local one = "^one  127%.0%.0%.1:%d+ %-> 127%.0%.0%.1:1883  "
  expect(done("create", "one", "--upstream", "127.0.0.1:1883")):matches(one .. "enabled, no toxics$")
  expect(refused("create", "one", "-u", "127.0.0.1:1883")):equals 'mqrig: there is a proxy "one" already'
  expect(refused("create", "two", "-u", "nowhere")):matches 'answers 400: .*nowhere.* has no port'
  expect(done("create", "second one", "-l", "127.0.0.1:0", "-u", "[::1]:1", "--disabled")):matches "disabled"
  expect(done "list"):matches("^one         127%..* enabled, no toxics\nsecond one  127%..* disabled, no toxics$")
  expect(done("toggle", "second one")):matches " enabled"

  local slow = "downstream  latency      slow  toxicity 0.5  jitter=5 latency=100"
  expect(done("toxic", "add", "one", "-t", "latency", "-n", "slow", "--toxicity", "0.5", "-a", "latency=100", "-a",
    "jitter=5")):equals(slow)
  local rule = "upstream    mqtt         mqtt_upstream  toxicity 1  rule=up PUBLISH nth 3 drop"
  expect(done("toxic", "add", "one", "-t", "mqtt", "-u", "-a", "rule=up PUBLISH nth 3 drop")):equals(rule)
  expect(done("inspect", "one")):matches("enabled, 2 toxics\n  " .. rule .. "\n  " .. slow .. "$")
  expect(refused("toxic", "add", "one", "-t", "latency", "-n", "slow")):equals
    'mqrig: proxy "one" has a toxic "slow" already'
  expect(refused("toxic", "add", "one", "-t", "latncy")):matches 'answers 400: .*perhaps "latency" is meant$'
  expect(refused("toxic", "add", "on", "-t", "latency")):equals 'mqrig: there is no proxy "on", did you mean "one"?'
  expect(done("toxic", "update", "one", "-n", "slow", "-a", "latency=7", "--toxicity", "1")):equals
    "downstream  latency      slow  toxicity 1  jitter=5 latency=7"
  expect(refused("toxic", "remove", "one", "-n", "slwo")):equals
    'mqrig: proxy "one" has no toxic "slwo", did you mean "slow"?'
  expect(done("toxic", "remove", "one", "-n", "slow")):equals "removed slow from one"

  expect(done("inspect", "one", "--json")):matches '^{"name":"one","listen":"127.*"toxics":%[{.-}%]}$'
  expect(done("toggle", "one")):matches(one .. "disabled, 1 toxic\n")
  expect(done "reset"):equals "all proxies are enabled, all toxics removed"
  expect(done("reset", "--json")):equals ""
  expect(done("inspect", "one")):matches(one .. "enabled, no toxics$")
  expect(done("delete", "one")):equals "deleted one"
  expect(refused("delete", "one")):equals 'mqrig: there is no proxy "one", there is second one'
  expect(done("populate", "order.json")):matches "^third  .* enabled, 1 toxic\n  downstream  slicer"
  expect(done("list", "--json")):matches '^{"second one":{.*},"third":{.*}}$'
  expect(refused("populate", "drive.lua")):matches "answers 400: "
end)

scenario("an upstream that is not there is an end of file where that is wanted", function(t)
  local p = t:process { mqrig, "proxy", "127.0.0.1:0", "127.0.0.1:1", "--refuse-by", "close", "--connect-timeout", "2s",
    "--max-connections", 3, "--control", 0 }
  local port = p:wait_output "listening at tcp://127.0.0.1:(%d+)"
  local url = p:wait_output "control at (http://%S+)"
  ctl(t, 0, url, "create", "other", "-u", "127.0.0.1:1")
  local other = ctl(t, 0, url, "inspect", "other"):match "127.0.0.1:(%d+)"
  for _, at in ipairs { port, other } do
    expect(t:raw_client({ url = "tcp://127.0.0.1:" .. at }):wait_closed()):equals "fin"
  end
  p:signal "TERM"
  expect(p:wait()):equals(0)
end)

scenario("a server that is none, or says nothing", function(t)
  local peer = t:peer()
  local url = peer.url:gsub("^%a+", "http")
  expect(ctl(t, 5, url, "list")):equals(("mqrig: %s: what answers there does not speak HTTP"):format(url))
  local silent = t:process { proxy, "127.0.0.1:0", peer.url, "--fault", "accept no_answer" }
  url = "http://127.0.0.1:" .. silent:wait_output "listening at tcp://127.0.0.1:(%d+)"
  expect(ctl(t, 5, url, "--timeout", "50ms", "list")):matches "no answer within 0.05 s"
end)
]==])
program.write("order.json", '[{"name": "third", "upstream": "127.0.0.1:1", "toxics": [{"type": "slicer"}]}]')
program.says("run drive.lua", 0, "\n3 passed, 0 failed, 0 skipped", nil,
  ("MQRIG=%s MQRIG_PROXY=%s"):format(os.getenv "MQRIG", assert(os.getenv "MQRIG_PROXY", "MQRIG_PROXY is the server")))
program.finish()
