-- --control and --capture of mqrig proxy and mqrig-proxy, between mosquitto and its clients; what tshark, which does not
-- know us, makes of the captures; and what a scenario tells of its proxy.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

program.write("through.lua", [==[
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect
local mqrig = os.getenv "MQRIG"

local function publish(t, port, ...)
  local p = t:process { "mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-i", "pub", "-t", "a/b", "-q", 1, ... }
  expect(p:wait()):equals(0)
end

for name, command in pairs { lua = { mqrig, "proxy" }, plain = { os.getenv "MQRIG_PROXY" } } do
  scenario("faults are comments in the capture of " .. name, function(t)
    local argv = table.move(command, 1, #command, 1, {})
    for _, word in ipairs { "127.0.0.1:0", t:mosquitto().url, "--capture", name .. ".pcapng", "--control", 0,
      "--fault", "up PUBLISH nth 2 drop may_fire", "--fault", "down PUBACK first dup 1 may_fire", "--json" } do
      argv[#argv + 1] = word
    end
    local p = t:process(argv)
    local port = p:wait_output '"listen":"tcp://127.0.0.1:(%d+)"'
    local url = p:wait_output '"event":"control","url":"(http://%S+)"'
    local function ctl(...)
      local c = t:process { mqrig, "proxy", "ctl", "--url", url, ... }
      expect(c:wait()):equals(0)
      return c.stdout
    end
    ctl("toxic", "add", "mqtt", "-t", "latency", "-n", "slow", "-a", "latency=20")
    publish(t, port, "-m", "one")
    p:wait_output '"event":"fired".-"connection":1,"toxic":"slow","rule":"down bytes delay 20ms"'
    ctl("toxic", "remove", "mqtt", "-n", "slow")
    t:process({ "sh", "-c", ("for n in 1 2 3; do echo $n; done | mosquitto_pub -h 127.0.0.1 -p %s -i lines -t a -q 1 -l")
      :format(port) })
    p:wait_output '"connection":2,"client_id":"lines"'
    local other = ctl("create", "other", "-u", "127.0.0.1:1")
    local refused = t:process { "mosquitto_pub", "-h", "127.0.0.1", "-p", other:match "127.0.0.1:(%d+)", "-t", "a", "-m",
      "x" }
    expect(refused:wait()):differs(0)
    p:wait_output '"event":"ended".-"proxy":"other","connection":1.-Connection refused'
    p:signal "TERM"
    expect(p:wait()):equals(0)
    p:wait_output '"event":"summary".-"connections":2'
    p:wait_output '"event":"summary".-"proxy":"other","connections":1,"open":0,"unreached":1'
  end)
end

scenario("bytes of all sizes are there, in order, both ways", function(t)
  local p = t:process { os.getenv "MQRIG_PROXY", "127.0.0.1:0", t:mosquitto().url, "--capture", "bytes.pcapng" }
  local port = p:wait_output "listening at tcp://127.0.0.1:(%d+)"
  local c = t:connect { url = "tcp://127.0.0.1:" .. port }
  c:subscribe("a", 0)
  for _, size in ipairs { 0, 1, 100, 70000, 200000, 3 } do
    c:publish("a", ("x"):rep(size))
    expect(#c:next_message().payload):equals(size)
  end
  c:disconnect()
  p:wait_output "ended after"
  p:signal "TERM"
  expect(p:wait()):equals(0)
end)

scenario("TLS that goes through, with its keys", function(t)
  local pki = t:pki()
  local peer = t:peer { tls = pki.server }
  local p = t:process { os.getenv "MQRIG_PROXY", "127.0.0.1:0", (peer.url:gsub("^%a+", "tcp")), "--capture",
    "secret.pcapng" }
  local url = "mqtts://127.0.0.1:" .. p:wait_output "listening at tcp://127.0.0.1:(%d+)"
  local tls = { ca = pki.ca, resume = true, keylog = "secret.keys" }
  for i = 1, 2 do -- the second is resumed
    local c = t:connect { url = url, tls = tls }
    c:publish("secret/" .. i, "x", { qos = 1 })
    c:disconnect()
    p:wait_output(("#%d .-ended after"):format(i))
  end
  p:signal "TERM"
  expect(p:wait()):equals(0)
end)

scenario("a capture that cannot be written is told", function(t)
  for _, command in ipairs { { mqrig, "proxy" }, { os.getenv "MQRIG_PROXY" } } do
    local argv = table.move(command, 1, #command, 1, {})
    local p = t:process(table.move({ "127.0.0.1:0", "127.0.0.1:1", "--capture", "none/x" }, 1, 4, #argv + 1, argv))
    expect(p:wait()):equals(5)
    expect(p.stderr):contains "none/x: No such file or directory"
    argv[#argv] = "/dev/full"
    p = t:process(argv)
    p:wait_output "listening"
    p:signal "TERM"
    expect(p:wait()):equals(5)
    expect(p.stderr):contains "the capture is not whole: No space left on device"
  end
end)
]==])
program.says("run through.lua --timeout 60", 0, "\n5 passed, 0 failed, 0 skipped", nil,
  ("MQRIG=%s MQRIG_PROXY=%s"):format(os.getenv "MQRIG", assert(os.getenv "MQRIG_PROXY", "MQRIG_PROXY is under test")))

-- A failure report tells what a proxy of the scenario saw between two programs that are none of ours.
program.write("strangers.lua", [==[
local rig = require "mqrig"
rig.scenario("strangers", function(t)
  local proxy = t:proxy { upstream = t:mosquitto() }
  proxy.up:on("PUBLISH"):first():drop()
  proxy.down:on("CONNACK"):delay(0.02)
  local port = proxy.url:match ":(%d+)$"
  t:process({ "mosquitto_pub", "-i", "stranger", "-p", port, "-t", "a", "-m", "x" }):wait()
  error "enough"
end)
]==])
program.says("run strangers.lua", 1, {
  '#1 -> CONNECT "stranger"', "#1 <- CONNACK 0 accepted   !! down CONNACK delay 20ms\n",
  '#1 -> PUBLISH q0 "a" 1 B "x"   !! up PUBLISH first drop\n', "#1 -> DISCONNECT\n",
})

assert(os.execute "command -v tshark >/dev/null", "tshark is not installed: apt-get install tshark")

-- The rows of what passes the filter: fields with tabs between them.
local function tshark(name, filter, ...)
  local command = ("tshark -r %s/%s.pcapng -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -Y '%s' -T fields -e %s "
    .. "2>/dev/null"):format(program.folder, name, filter, table.concat({ ... }, " -e "))
  local pipe = assert(io.popen(command))
  local rows = {}
  for row in pipe:lines() do
    rows[#rows + 1] = row
  end
  assert(pipe:close(), command)
  return rows
end

-- With the keys of its connections TLS is read.
local pipe = assert(io.popen(("tshark -r %s/secret.pcapng -o tls.keylog_file:%s/secret.keys -d tcp.port==1883,tls "
  .. "-d tls.port==1883,mqtt -Y 'mqtt.msgtype == 3' -T fields -e mqtt.topic 2>/dev/null"):format(program.folder,
  program.folder)))
local topics = pipe:read "a"
assert(pipe:close() and topics == "secret/1\nsecret/1\nsecret/2\nsecret/2\n", topics) -- on either side of the proxy

local function check(name, filter, fields, want)
  local got = table.concat(tshark(name, filter, table.unpack(fields)), "\n")
  assert(got == table.concat(want, "\n"), ("%s, %s:\n%s"):format(name, filter, got))
end

local function check_sound(name)
  local all = tshark(name, "tcp", "frame.number")
  assert(#all > 0 and #tshark(name, "tcp.checksum.status == 1 && ip.checksum.status == 1", "frame.number") == #all, name)
  check(name, "_ws.malformed || tcp.analysis.lost_segment || tcp.analysis.retransmission || tcp.analysis.out_of_order",
    { "frame.number" }, {})
  check(name, "mqtt.msgtype < 1 || mqtt.msgtype > 14", { "frame.number" }, {})
end

-- Types of packets on each interface: PUBLISH 3, PUBACK 4. The second PUBLISH of the second connection does not reach the
-- upstream, and the PUBACK that the upstream sends once comes to the client twice.
for _, name in ipairs { "lua", "plain" } do
  check_sound(name)
  check(name, "tcp.stream == 0 && mqtt.msgtype < 14", { "frame.interface_name", "mqtt.msgtype" },
    { "client\t1", "client\t2", "client\t3", "client\t4,4" })
  check(name, "tcp.stream == 1 && mqtt.msgtype < 14", { "frame.interface_name", "mqtt.msgtype", "frame.comment" },
    { "upstream\t1\t", "upstream\t2\t!! toxic slow: down bytes delay 20ms", "upstream\t3\t",
      "upstream\t4\t!! down PUBACK first dup 1 may_fire" })
  check(name, "tcp.stream == 2 && mqtt.msgtype == 3", { "mqtt.msgid", "frame.comment" },
    { "1\t", "2\t!! up PUBLISH nth 2 drop may_fire (did not pass)", "3\t" })
  check(name, "tcp.stream == 3 && mqtt.msgtype == 3", { "mqtt.msgid", "frame.comment" }, { "1\t", "3\t" })
  local opening = tshark(name, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "frame.comment")
  assert(#opening == 5 and opening[1]:find "^#1: from 127%.0%.0%.1:%d+ to the proxy at tcp://127%.0%.0%.1:%d+$", opening[1])
  assert(opening[2]:find "^#1: from the proxy, 127%.0%.0%.1:%d+, to the upstream 127%.0%.0%.1:%d+$", opening[2])
  assert(#tshark(name, 'tcp.stream == 4 && tcp.flags.reset == 1', "frame.number") == 1)
  assert(#tshark(name, 'tcp.stream == 4 && frame.comment contains "Connection refused"', "frame.number") == 1)
  -- The delay is seen between the interfaces.
  local times = tshark(name, "tcp.stream < 2 && mqtt.msgtype == 2", "frame.time_epoch")
  assert(tonumber(times[2]) - tonumber(times[1]) >= 0.0199, table.concat(times, " "))
  assert(math.abs(times[1] - os.time()) < 600, times[1])
end

check_sound "bytes"
for stream = 0, 1 do
  local sizes, flags = 0, {}
  for _, row in ipairs(tshark("bytes", ("tcp.stream == %d && mqtt.msgtype == 3"):format(stream), "mqtt.len")) do
    for size in row:gmatch "%d+" do
      sizes = sizes + 1
      flags[size] = (flags[size] or 0) + 1
    end
  end
  assert(sizes == 12 and flags["3"] == 2 and flags["200003"] == 2, ("stream %d: %d messages"):format(stream, sizes))
end

program.finish()
