-- What is wrong in itself: rules, addresses, streams, requests. Each is told in a sentence, and meanwhile a witness, a
-- client that is up, notices nothing. Run by badinput_test.lua.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- A client through a proxy, and what it says of its connection: that it is still the same, and alive.
local function witness(t, options)
  local c = t:connect(options)
  c:subscribe("witness", 1)
  return function()
    expect(c:publish("witness", "x", { qos = 1 })):equals(mqtt.SUCCESS)
    c:next_message()
    expect(c.state):equals "connected"
  end
end

local function peak_kib() -- of memory, of this process
  return tonumber(io.open("/proc/self/status"):read("a"):match "VmHWM:%s+(%d+)")
end

local wrong_rules = {
  { "up PUBLSH drop", 'column 4: "PUBLSH": expected what it is about .*did you mean "PUBLISH"' },
  { "up PUBLISH nth", "column 15: the rule ends here; expected a number from 1" },
  { "up PUBLISH nth 3", "column 17: the rule ends here; expected .*an action" },
  { "up PUBLISH delay soon", 'column 18: "soon": expected a duration' },
  { "up PUBLISH at_byte 3 drop", 'column 22: "drop" takes no position' },
  { ("up PUBLISH name x"):rep(400), "4095 bytes" },
  -- What contradicts itself.
  { "up PUBLISH first drop must_fire may_fire", "must_fire and may_fire contradict each other" },
  { "up PUBLISH at 2 nth 2 drop", "contradict" },
  { "up PUBLISH range 4 2 drop", "below the first" },
  { "up PUBLISH drop rst", "second action" },
  { "up PINGREQ topic a drop", "can never match" },
  -- What cannot be done on a proxy, or at all.
  { "up bytes drop", "a byte stream cannot lose any" },
  { "up PUBLISH refuse", "makes no sense on any" },
  { "up PUBLISH where drop", "`where` needs a function" },
  { "up PUBLISH after nobody drop", "no rule that was installed here before has that name" },
}

scenario("rules that are wrong, contradictory or out of place", function(t)
  local proxy = t:proxy()
  local lives = witness(t, { url = proxy.url })
  for _, row in ipairs(wrong_rules) do
    local text, why = table.unpack(row)
    expect(function() proxy.link:rule(text) end):raises(why)
  end
  lives()
end)

scenario("rules that a place cannot do", function(t)
  local peer = t:peer()
  local c, raw = t:connect { broker = peer }, t:raw_client { broker = peer }
  local rows = {
    { function() c.link:on("accept"):refuse() end, "a client's link never accepts a connection: say connect" },
    { function() c.link:on("connect"):dead_upstream() end, "only a proxy has an upstream" },
    { function() peer.up:on("connect"):refuse() end, "a peer never connects: say accept" },
    { function() raw.link:on("connect"):refuse() end, "never connects" },
    { function() peer:conn(1).up:on("accept"):refuse() end, "never accepts" },
    { function() peer.up:on("accept"):first():no_answer() end, "`first` do not go together" },
    { function() c.link.up:on("PUBLISH"):prop("content_type"):drop() end, "5.0" },
  }
  for _, row in ipairs(rows) do
    expect(row[1]):raises(row[2])
  end
  expect(c:publish("a", "x", { qos = 1 })):equals(mqtt.SUCCESS)
end)

scenario("rules that contradict each other act in their order", function(t)
  local proxy = t:proxy()
  local lives = witness(t, { url = proxy.url })
  local drop = proxy.up:on("PUBLISH"):topic("a"):drop()
  local never = proxy.up:on("PUBLISH"):topic("a"):rst():may_fire()
  local c = t:connect { url = proxy.url }
  expect(c:publish("a", "x", { qos = 0 })):equals(mqtt.SUCCESS)
  lives()
  expect(drop.fired):equals(1)
  expect(never.seen):equals(0)
  expect(c.state):equals "connected"
end)

scenario("a port that is taken: whoever has it keeps it", function(t)
  local proxy = t:proxy()
  local lives = witness(t, { url = proxy.url })
  for _, make in ipairs { "proxy", "peer", "builtin" } do
    expect(function() t[make](t, { url = proxy.url }) end):raises "cannot listen at 127.0.0.1:%d+: somebody else does"
  end
  lives()
end)

scenario("an upstream that does not resolve refuses its clients only", function(t)
  local good, bad = t:proxy(), t:proxy { upstream = "tcp://no..such:1883" }
  local lives = witness(t, { url = good.url })
  for _ = 1, 3 do
    expect(t:client { url = bad.url }:try_connect()):equals(mqtt.FAILURE)
    lives()
  end
  expect(bad:log()):contains "no..such"
  expect(bad.stats.open):equals(0)
end)

-- 2 MB of one packet, or of none; what the rules say of it, and how many bytes come through.
local endless = "\x30\xff\xff\xff\x7f\x00\x01a"
local streams = {
  { "a packet", endless, nil },
  { "a packet, and rules on it", endless, "up PUBLISH delay 1ms" },
  { "a packet, and a rule that takes whole ones", endless, "up PUBLISH hold" },
  { "a packet, and a reset deep in it", endless, "up PUBLISH at_byte 1500000 rst", 1500000 },
  { "no packet", "\xff\xff\xff\xff\xff", "up any drop" },
  { "no packet, in pieces", "\xff\xff\xff\xff\xff", "up bytes split uniform(1000,9000)" },
}
for _, row in ipairs(streams) do
  local name, head, rule, cut = table.unpack(row, 1, 4)
  scenario("2 MB without an end: " .. name, function(t)
    local upstream = t:peer()
    local play = upstream:play { { "<", "CONNECT" }, { ">", "CONNACK" } }
    local proxy = t:proxy { upstream = upstream }
    local lives = witness(t, { url = t:proxy().url })
    local raw = t:raw_client { url = proxy.url }
    raw:send("CONNECT", { client_id = "endless" })
    raw:recv("CONNACK")
    play:wait()
    local connect = proxy:conn().stats.bytes_up
    if rule then proxy.link:rule(rule) end
    local before = peak_kib()
    raw:send(head)
    for _ = 1, 32 do
      raw:send(("x"):rep(65536))
    end
    lives()
    if cut then
      expect(raw:wait_closed()):equals "reset"
    else
      t:wait(function() return proxy:conn().stats.bytes_up == connect + #head + 32 * 65536 end)
      lives()
      raw:close()
    end
    t:wait(function() return proxy.stats.open == 0 end)
    expect(peak_kib() - before):is_at_most(48 * 1024)
    lives()
  end)
end

scenario("ten thousand rules, and one more", { timeout = 60 }, function(t)
  local proxy = t:proxy()
  local lives = witness(t, { url = proxy.url })
  local rules = {}
  for i = 1, 10000 do
    rules[i] = proxy.link:rule(("up PUBLISH topic no/%d drop"):format(i))
  end
  expect(function() proxy.link:rule "up any drop" end):raises "10000 rules are installed here, and that is the most"
  lives()
  t:connect { url = proxy.url }:publish("no/9999", "x", { qos = 0 })
  rules[9999]:wait()
  for _, rule in ipairs(rules) do
    rule:off()
  end
  lives()
  proxy.link:rule("up PUBLISH delay 1ms")
  lives()
end)

-- The program, with its control interface.

local executable = assert(os.getenv "MQRIG_PROXY", "MQRIG_PROXY is the program under test")

-- With so many rules that mean nothing.
local function start(t, rules)
  local p = t:process { "sh", "-c", [[IFS="
"; exec "$@" $(seq -f "--fault=up PUBLISH topic no/%.0f drop" $RULES)]], "sh", executable, "127.0.0.1:0", t.broker.url,
    "--control", "127.0.0.1:0", "--seed", 1, env = { RULES = tostring(rules or 0) }, name = "mqrig-proxy" }
  return p, function()
    local control = p:wait_output "control at http://([%d.:]+)"
    return "tcp://" .. p:wait_output "listening at tcp://([%d.:]+)", "tcp://" .. control
  end
end

local function descriptors(p)
  local pipe = io.popen(("ls /proc/%d/fd | wc -l"):format(p.pid))
  local count = pipe:read "n"
  pipe:close()
  return count
end

-- One request on a connection of its own; returns the status and the body.
local function ask(t, control, method, path, body)
  local raw = t:raw_client { url = control }
  raw:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(method,
    path, #body, body))
  local head = ""
  repeat
    head = head .. raw:recv_bytes(1)
  until head:find "\r\n\r\n"
  local size = tonumber(head:lower():match "content%-length: (%d+)")
  local answer = size and size > 0 and raw:recv_bytes(size) or ""
  raw:close()
  return tonumber(head:match "^HTTP/1.1 (%d+)"), answer
end

scenario("control requests that are cut change nothing", { timeout = 30 }, function(t)
  local p, addresses = start(t)
  local url, control = addresses()
  local lives = witness(t, { url = url })
  local before = descriptors(p)
  local body = '[{"name":"new","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}]'
  local request = ("POST /populate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)
  local _, proxies = ask(t, control, "GET", "/proxies", "")
  for size = 6, #request - 1, 3 do                       -- "POST /" and more
    local raw = t:raw_client { url = control }
    raw:send(request:sub(1, size))
    local ends = { raw.link.rst, raw.link.fin, raw.link.close }
    ends[size // 3 % 3 + 1](raw.link)
    raw:close()
    if size % 30 == 0 then
      lives()
    end
  end
  for _ = 1, 100 do
    lives()
    if descriptors(p) == before then
      break
    end
  end
  expect(descriptors(p)):equals(before)
  local status, now = ask(t, control, "GET", "/proxies", "")
  expect(status):equals(200)
  expect(now):equals(proxies)
  p:signal "TERM"
  expect(p:wait()):equals(0)
  expect(p.stderr):equals ""
end)

scenario("toxics that are wrong are a sentence and status 400", function(t)
  local p, addresses = start(t)
  local url, control = addresses()
  local lives = witness(t, { url = url })
  for _, row in ipairs(wrong_rules) do
    local text = row[1]:gsub('["\\]', "\\%0")
    local status, answer = ask(t, control, "POST", "/proxies/mqtt/toxics",
      ('{"type":"mqtt","attributes":{"rule":"%s"}}'):format(text))
    expect(status):equals(400)
    expect(answer:gsub('\\"', '"')):matches(row[2])
  end
  lives()
  p:signal "TERM"
  expect(p:wait()):equals(0)
end)

scenario("ten thousand rules on the command line, and one more", { timeout = 60 }, function(t)
  local p, addresses = start(t, 10000)
  witness(t, { url = addresses() })()
  p:signal "TERM"
  expect(p:wait()):equals(0)
  p = start(t, 10001)
  expect(p:wait { within = 20 }):equals(2)
  expect(p.stderr):contains "10000 rules are installed here, and that is the most"
end)

-- As root that privilege is given up first.
scenario("a port below 1024 needs a privilege", function(t)
  local start_of = tonumber(io.open("/proc/sys/net/ipv4/ip_unprivileged_port_start"):read "a")
  local words = { executable, "127.0.0.1:80", "127.0.0.1:1" }
  local id = t:process { "id", "-u" }
  id:wait()
  if start_of <= 80 then
    t:skip("no port needs a privilege here: net.ipv4.ip_unprivileged_port_start is " .. start_of)
  elseif id.stdout == "0\n" then
    words = { "setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service", table.unpack(words) }
  end
  local p = t:process(words)
  expect(p:wait()):equals(5)
  expect(p.stderr):contains "cannot listen at 127.0.0.1:80: a port below 1024 needs a privilege"
end)
