-- Scenarios in virtual time: the same bytes from the same seed, what simulation cannot give, its own controls, ends that
-- never come, and --twice, which finds what is not deterministic.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local says, gives, write, head = program.says, program.gives, program.write, program.head

-- Usage.
write("empty.lua", head .. 'scenario("empty", function() end)\n')
says("run --net sim --broker mosquitto empty.lua", 2, nil, "--net sim has the built-in broker only")
says("run --net sim --broker tcp://127.0.0.1:1 empty.lua", 2, nil, "--net sim has the built-in broker only")
says("run --twice empty.lua", 2, nil, "--twice is for --net sim")
says("run --net sim --seed 3 empty.lua", 0, { "seed 3, broker builtin, network sim", "1 passed" })

-- Order, chance, time, names: all of it printed, and the same in another process, environment, locale, folder.
write("chance.lua", head .. [=[
local made = {}
for i = 1, 5 do made[i] = {} end
scenario("chance", function(t)
  local set = { z = 1, [3] = 1, [1] = 1, [2.5] = 1, [true] = 1, [print] = 1, [made[4]] = 4, [made[2]] = 2, b = 1 }
  for key, value in pairs(set) do print(key, value) end
  for key in next, set do t:log(key) end
  local many = {}
  for i = 1, 300 do many["key " .. i % 97 .. " " .. i] = { at = i % 7, i = i } end
  local list = {}
  for _, value in pairs(many) do list[#list + 1] = value end
  table.sort(list, function(a, b) return a.at < b.at end)
  print(list[1].i, list[100].i, list[300].i)
  print(made[1], function() end, coroutine.create(print), ("%s %5s %%p"):format({}, print), ("%p"):format({}))
  print(math.random(), math.random(6), math.random(-5, 5), math.random(0))
  print(os.time(), os.date(), os.date "%H", os.clock(), os.time { year = 2026, month = 14, day = -3, hour = 1 })
  t:sleep(90000.25)
  print(os.time(), os.date("!%c"), os.date("*t").yday, os.clock(), t:random(1000))
  local clients = {}
  for i = 1, 6 do clients[mqtt.createclient()] = i end
  local in_order = {}
  for client, i in pairs(clients) do print(client, i) in_order[#in_order + 1] = i end
  expect(in_order):equals { 1, 2, 3, 4, 5, 6 }
  print(pcall(mqtt.createclient, { maxinflight = {} }))
  print(require "os".time(), require "math".random(1000), require "_G" == _G, require "string".format("%p", {}))
  print(collectgarbage "step", collectgarbage "generational", collectgarbage("setpause", 7), collectgarbage "isrunning")
  print(collectgarbage "incremental", collectgarbage("setpause", 9), collectgarbage "stop", collectgarbage "isrunning")
  setmetatable({}, { __gc = function() print "a finalizer" end })
  collectgarbage()
  local a, b = t:connect { keepalive = 10 }, t:connect()
  b:subscribe("#", 2)
  for i = 1, 20 do a:publish("topic/" .. i, ("x"):rep(i * 100), { qos = i % 3 }) end
  expect(#b:messages()):equals(20)
  error({ set, made[3] })
end)
]=])
local again = "run --net sim --seed 9 --timeout 2d --capture always --out out -v -r json:out.json chance.lua"
local out = says(again, 1, { "FAILED" })
assert(not out:find "0x" and not out:find "finalizer", out)
local files = { "out.json" }
for path in out:gmatch "out/%S+%.%a+" do
  files[#files + 1] = path
end
assert(#files == 3)
local before = {}
for _, path in ipairs(files) do
  before[path] = program.read(path)
end
local second = gives(again, 1, nil, nil, "LC_ALL=tr_TR.UTF-8 TZ=Asia/Tokyo HOME=/ MALLOC_PERTURB_=7 MORE=" .. ("x"):rep(9000))
assert(second == out, second)
for _, path in ipairs(files) do
  assert(program.read(path) == before[path], path)
end
local other = gives(again:gsub("seed 9", "seed 10"), 1)
assert(other ~= out)
says("run --net sim --seed 9 --timeout 2d --twice chance.lua", 1, "an error that is no text was raised")

-- What reaches outside: skipped with the line, or failed where there is no other world.
write("outside.lua", head .. [[
local function both(name, fn)
  scenario(name, fn)
  scenario(name .. ", declared", { net = "sim" }, fn)
end
both("io.open", function() io.open "x" end)
both("a stream", function() io.stdout:write "x" end)
both("required", function() require "io".open "x" end)
both("os.execute", function() os.execute "true" end)
both("os.getenv", function() os.getenv "HOME" end)
both("heap", function() collectgarbage "count" end)
both("a process", function(t) t:process { "true" } end)
both("mosquitto", function(t) t:mosquitto() end)
scenario("real", { net = "real" }, function() error "not here" end)
scenario("caught", function()
  expect(pcall(os.remove, "x")):is_false()
end)
]])
out = gives("run --net sim --capture never outside.lua", 1, "1 passed, 8 failed, 9 skipped\n$")
local failures = program.failures(out)
assert(failures["io.open, declared"]:find("outside.lua:7\n", 1, true), out)
assert(failures["io.open, declared"]:find("io.open is not there in simulation: it has no files", 1, true), out)
assert(failures["mosquitto, declared"]:find("outside.lua:14\n", 1, true), out)
assert(out:find("io.open: io.open is not there in simulation: it has no files (outside.lua:7)", 1, true), out)
assert(out:find("a process: t:process is not there in simulation: it has no processes (outside.lua:13)", 1, true), out)
assert(out:find("real: needs --net real", 1, true), out)

-- Its own controls; on a real network they skip the scenario that uses them.
write("controls.lua", head .. [[
local net, clock, fault = rig.net, rig.clock, rig.fault
scenario("partition", function(t)
  local c = t:connect { keepalive = 5 }
  net:partition(c, t.broker)
  local sent = c:send("a", "b", { qos = 1 })
  expect(pcall(sent.wait, sent, { within = 1 })):is_false()
  net:heal()
  expect(sent:wait()):equals(0)
end)
scenario("one way", { timeout = "1m" }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer, keepalive = 5 }
  net:oneway("peer1", "c1")
  c:send("a", "b", { qos = 1 })
  t:wait(function() return #peer:received "PUBLISH" == 1 end)
  expect(c:wait_lost { within = "20s" }):equals(-1)
end)
scenario("a link", function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  net:link(c, peer):latency "100ms"
  local began = t:now()
  c:publish("a", "b", { qos = 1 })
  expect(t:now() - began):is_between(0.2, 0.201)
  net:link(peer, c).up:on("PUBLISH"):first():rst()
  expect(c:try_publish("a", "b", { qos = 1 })):equals(-1)
end)
scenario("loss and rate", function(t)
  local c = t:connect()
  net:loss("20%"):rate("1k", c, t.broker)
  local began = t:now()
  c:publish("a", ("x"):rep(1024), { qos = 1 })
  expect(t:now() - began):is_at_least(1)
end)
scenario("clocks", { timeout = "1m" }, function(t)
  local c = t:connect { keepalive = 5 }
  clock { c }:jump(10)
  c:wait_sent("PINGREQ", { within = 1 })
  clock "c1":drift(1, 100)
  expect(c:wait_lost { within = 10 }):equals(-1)
end)
scenario("named before it is there", function(t)
  net:latency("100ms", "later", "broker")
  local c = t:connect { name = "later" }
  local began = t:now()
  c:publish("a", "b", { qos = 1 })
  expect(t:now() - began):is_between(0.2, 0.201)
end)
scenario("misuse", { net = "sim" }, function(t)
  t:client()
  expect(function() net:partition(nil, t.broker) end):raises "net:partition takes"
  expect(function() net:loss(2) end):raises "a probability from 0 to 1"
  expect(function() net:link(t:peer(), t.broker).up:on("PUBLISH") end):raises "neither is a client"
  expect(function() clock("c1"):drift(0, 1) end):raises "two integers"
  expect(function() clock("c1"):jump "soon" end):raises "clock:jump"
end)
]])
says("run --net sim --seed 2 --twice controls.lua", 0, "7 passed, 0 failed, 0 skipped")
out = says("run controls.lua", 0, "0 passed, 0 failed, 7 skipped")
assert(out:find("net:partition exists in simulation only, and this is a real network (--net sim) (controls.lua:6)", 1, true),
  out)

write("nobody.lua", head .. [[
scenario("nobody", function(t)
  local c = t:connect { name = "alice" }
  rig.net:partition("alicee", t.broker)
  c:publish("a", "b", { qos = 1 })
end)
]])
out = says("run --net sim --capture never nobody.lua", 1, { "nobody.lua:5", 'net:partition: there was no node "alicee", did you mean "alice"?' })

-- Nothing can happen any more: a failure with what waits.
write("stuck.lua", head .. [[
scenario("deadlock", function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()
  local c = t:connect { broker = peer, keepalive = 0 }
  t:spawn(function() c:wait_received("PUBLISH", { within = "1h" }) end)
  c:publish("a", "b", { qos = 1 })
end)
scenario("a condition", function(t) t:wait(function() return false end) end)
scenario("for ever", function(t)
  t:await(function() end, { within = "2h" })
end)
]])
failures = program.failures(gives("run --net sim --capture never stuck.lua", 1, "0 passed, 3 failed"))
assert(failures["a condition"]:find "any more\n", failures["a condition"])
for _, piece in ipairs { "within 5 s", "deadlock: nothing can happen any more", "awaits PUBLISH", "stuck.lua:7" } do
  assert(failures.deadlock:find(piece, 1, true), failures.deadlock)
end
assert(failures["for ever"]:find("10.00 s of virtual time", 1, true), failures["for ever"])
assert(failures["for ever"]:find("deadlock: ", 1, true), failures["for ever"])

-- Endless: a limit of virtual time, one of real time, and code that never yields.
write("endless.lua", head .. [[
scenario("virtual", function(t) while true do t:sleep(1) end end)
scenario("real", { timeout = "1000d" }, function(t) while true do t:sleep(0) end end)
scenario("busy", { timeout = "1000d" }, function() while true do end end)
]])
failures = program.failures(gives("run --net sim --capture never --real-timeout 1s endless.lua", 1, "0 passed, 3 failed"))
assert(failures.virtual:find("did not end within 10.00 s of virtual time", 1, true), failures.virtual)
assert(not failures.virtual:find "deadlock", failures.virtual)
assert(failures.real:find("1.00 s of real time (--real-timeout)", 1, true), failures.real)
assert(failures.busy:find("never yields", 1, true), failures.busy)

-- What differs between two processes is found, and where.
write("differs.lua", head .. [[
local home = os.getenv "HOME" or "none"
scenario("on the wire", function(t)
  local c = t:connect()
  c:publish("a", "the same")
  c:publish("a", home)
  c:publish("a", "more")
end)
scenario("printed", function() print(home) end)
]])
out = gives("run --net sim --capture never --twice --seed 4 differs.lua", 1, "0 passed, 2 failed", nil, "HOME=/home/me")
failures = program.failures(out)
assert(failures["on the wire"]:find("not deterministic: entry %d+ of the timeline differs"), out)
assert(failures["on the wire"]:find "expected  +%d+%.%d+ ms  c1 .*got  +%d+%.%d+ ms  c1 ", out)
assert(failures.printed:find('"logs" differs', 1, true), out)
assert(failures.printed:find("--twice", 1, true), out)

program.finish()
