-- Scenarios that do not end, eat memory, or take their process down: each fails with what is known, nothing that it
-- started is left, and the next one passes.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local write, head = program.write, program.head

-- What never gives way but stays in Lua is stopped at its line.
local stopped = {
  { "while true do end", 0 },
  { "while true do pcall(function() while true do end end) end", 0 },
  { "while true do pcall(error) end", 0 },
  { "while true do local ok = xpcall(function() while true do end end, function(e) return e end) end", 0 },
  { "coroutine.wrap(function()\nwhile true do end\nend)()", 1 },
  { "local co = coroutine.create(function() while true do end end)\nwhile true do coroutine.resume(co) end", 1 },
  { "while true do pcall(coroutine.wrap(function() while true do pcall(error) end end)) end", 0 },
  { "t:spawn(function()\nwhile true do end\nend)\nt:sleep(9)", 1 },
  { "t:wait(function()\nwhile true do end\nend)", 1 },
  { "table.sort({ 3, 2, 1 }, function()\nwhile true do end\nend)", 1 },
  { "('x'):gsub('x', function()\nwhile true do end\nend)", 1 },
  { "setmetatable({}, { __index = function()\nwhile true do end\nend }).x = nil\nlocal _ = t.params.a\nwhile true "
    .. "do end", 4 },
  { "local c = t:connect()\nc.mqtt:onmessage(function()\nwhile true do "
    .. "end\nend)\nc:subscribe('a')\nc:publish('a', 'b')\nt:sleep(9)", 2 },
  { "local c = t:connect()\nc.mqtt:onmessage(function()\nwhile true do pcall(function() while true do end end) "
    .. "end\nend)\n"
    .. "c:subscribe('a')\nc:publish('a', 'b')\nt:sleep(9)", 2 },
  { "local c = t:connect()\nc.link.up:on('PUBLISH'):where(function()\nwhile true do "
    .. "end\nend):drop()\nc:publish('a', 'b')", 2 },
  { "local c = t:connect()\nc.mqtt:createmessage('a', 'b'):sendasync(function()\nwhile true do end\nend)\nt:sleep(9)",
    2 },
}
local text, cases, line = { head:sub(1, -2) }, {}, 2
for _, case in ipairs(stopped) do
  local code, offset = case[1], case[2]
  cases[#cases + 1] = { code = code, line = line + 2 + offset }
  text[#text + 1] = ("scenario('s%d', function(t)\n%s\nend)"):format(#cases, code)
  line = line + 2 + select(2, code:gsub("\n", "")) + 1
end
write("stopped.lua", table.concat(text, "\n") .. "\nscenario('last', function(t) t:connect() end)\n")
local out = program.says("run stopped.lua --capture never --timeout 100ms -j2", 1, "\npassed   stopped.lua: last\n")
local failures = program.failures(out)
for i, case in ipairs(cases) do
  local report = assert(failures["s" .. i], out)
  assert(report:find("stopped: it never yields (its time is over, and it neither returned nor waited)", 1, true),
    report)
  assert(report:find(("  stopped.lua:%d\n"):format(case.line), 1, true), case.line .. "\n" .. case.code .. "\n"
    .. report)
end

-- For that, coroutines of scenarios are watched. They are what they were.
write("coroutines.lua", head .. [[
scenario("coroutines", function()
  local function says(want, ...)
    expect(select("#", ...)):equals(2)
    expect({ ... }):equals { false, want }
  end
  says("cannot resume non-suspended coroutine", coroutine.resume(coroutine.running()))
  local co
  co = coroutine.create(function(...)
    expect({ n = select("#", ...), ... }):equals { n = 2, "a" }
    says("cannot resume non-suspended coroutine", coroutine.resume(co))
    expect(coroutine.yield(1, 2)):equals "b"
    error "x"
  end)
  expect({ coroutine.resume(co, "a", nil) }):equals { true, 1, 2 }
  says("coroutines.lua:14: x", coroutine.resume(co, "b"))
  says("cannot resume dead coroutine", coroutine.resume(co))
  local wrapped = coroutine.wrap(function() coroutine.yield(1) error "in it" end)
  expect(wrapped()):equals(1)
  says("coroutines.lua:19: in it", pcall(wrapped))
  says("cannot resume dead coroutine", pcall(wrapped))
  local inside
  inside = coroutine.wrap(function() inside() end)
  says("cannot resume non-suspended coroutine", pcall(inside))
  local sum = 0
  for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do sum = sum + i end
  expect(sum):equals(6)
  says("bad argument #1 to 'wrap' (function expected, got number)", pcall(coroutine.wrap, 3))
  says("bad argument #1 to 'resume' (thread expected, got nil)", pcall(coroutine.resume))
  expect(select(2, pcall(coroutine.wrap(function() error { 1 } end)))):equals { 1 }
end)
]])
program.says("run coroutines.lua", 0)

-- What is inside C cannot be stopped: its process is killed, what that had started goes with it, and another one runs
-- what is left. The child's own child is in the background.
write("killed.lua", head .. [[
local function start(t)
  local p = t:process { "sh", "-c", "sleep 300 & echo $! $$; wait" }
  local pids = io.open(t.params.file, "a")
  pids:write(p:wait_output "%d+ %d+", " ", io.open("/proc/self/stat"):read "n", "\n")
  pids:close()
  t:connect()
end
local options = { timeout = 3, params = { file = "pids" } }
scenario("a pattern", options, function(t) start(t) local _ = ("a"):rep(100000):find((".-"):rep(20) .. "b") end)
scenario("a command", options, function(t) start(t) os.execute "sleep 301" end)
scenario("a collector", options, function(t)
  start(t)
  setmetatable({}, { __gc = function() while true do end end })
  collectgarbage()
end)
scenario("last", function(t) t:connect() end)
]])
out = program.says("run killed.lua --capture never -j3", 1, "\npassed   killed.lua: last\n")
failures = program.failures(out)
for _, name in ipairs { "a pattern", "a command", "a collector" } do
  local report = failures[name]:gsub("\n  ", " ")
  assert(report:find("it never yields: nothing came within its timeout of 3 s and 2 s more, and it could not be "
    .. "stopped "
    .. "where it stood (a string pattern without end, os.execute, io.read?), its process was killed", 1, true), report)
end
program.check_gone("pids", 9)

-- Background processes that nobody waits for end with their scenario, too, however they were started.
write("background.lua", head .. [[
scenario("leaves", function(t)
  os.execute "sleep 302 & echo $! >>pids"
  t:process { "sh", "-c", "setsid sleep 303 & echo $! >>pids" }:wait()
end)
scenario("looks", function()
  for pid in io.lines "pids" do
    expect(io.open("/proc/" .. pid .. "/stat")):is_nil()
  end
end)
]])
program.says("run background.lua", 0, "\n2 passed, 0 failed, 0 skipped\n")
program.check_gone("pids", 2)

-- Closing has its own time, and says so.
write("closing.lua", head .. [[
scenario("slow", { timeout = 0.2 }, function(t) t:defer(function() t:sleep(2.5) print "closed" end) t:sleep(9) end)
]])
program.says("run closing.lua", 1, { "the scenario did not end within 200", "    closed\n" })

-- Memory: of Lua, of what the C side holds for a scenario, and where errors are caught. `before` is freed again.
write("memory.lua", head .. [[
scenario("tables", function() local x = {} while true do x[#x + 1] = ("y"):rep(1000) .. #x end end)
scenario("strings", function() local x = "x" while true do x = x .. x end end)
scenario("caught", { timeout = 1 }, function()
  local x = {}
  while true do pcall(function() while true do x[#x + 1] = ("y"):rep(100000) .. #x end end) end
end)
scenario("handlers", function(t)
  local c, all = t:connect(), {}
  c.mqtt:onmessage(function(m) all[#all + 1] = m.message end)
  c:subscribe "a"
  while true do c:publish("a", ("z"):rep(200000)) end
end)
scenario("last", function(t) t:connect() end)
]])
out = program.says("run memory.lua --capture never --memory 32m", 1, "\npassed   memory.lua: last\n")
failures = program.failures(out)
for _, name in ipairs { "tables", "strings", "handlers" } do
  assert(failures[name]:find("not enough memory: it needs more than its 32 MiB (--memory)", 1, true), failures[name])
end
assert(failures.caught:find("not enough memory", 1, true) or failures.caught:find("never yields", 1, true))
write("buffers.lua", head .. [[
scenario("buffers", { timeout = 60 }, function(t)
  local p = t:peer()
  local c = t:connect { broker = p }
  p:pause()
  while true do c:send("a", ("z"):rep(200000), { qos = 1 }) end
end)
scenario("last", function(t) t:connect() end)
]])
out = program.says("run buffers.lua --capture never --memory 32m", 1, "\npassed   buffers.lua: last\n")
assert(out:find("more than its 32 MiB (--memory) in messages and buffers", 1, true), out)

-- Workers that die, with several at work: each scenario has one result.
local many = { head }
for i = 1, 24 do
  many[#many + 1] = ("scenario('n%d', function(t) %s end)\n"):format(i,
    i % 4 == 0 and "os.execute 'kill -KILL $PPID' t:sleep(9)" or "t:connect():publish('a', 'b', { qos = 1 })")
end
write("dying.lua", table.concat(many))
out = program.says("run dying.lua -j4 --capture never", 70, "\n18 passed, 6 failed, 0 skipped\n")
failures = program.failures(out)
for i = 4, 24, 4 do
  assert(failures["n" .. i]:find("the worker process that ran it was killed by signal KILL", 1, true), out)
end
assert(program.count_temporary() == 0, "temporary folders are left")

program.finish()
