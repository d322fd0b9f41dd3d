-- mqrig run as a user sees it: reports, statuses, and that no scenario file, however bad, takes the run down.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local gives, write = program.gives, program.write

local head = [[
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect
]]

write("good.lua", head .. [[
scenario("a round trip", { tags = { "trip" } }, function(t)
  local c = t:connect()
  c:subscribe("a/#", 1)
  c:publish("a/b", "hello", { qos = 1 })
  expect(c:next_message().payload):equals("hello")
  print "printed"
end)
scenario("not connected", function(t)
  expect(t:client():try_publish("a", "b")):equals(mqtt.ERROR_DISCONNECTED)
end)
]])

-- First line, last line, logs with -v only, nothing on standard error.
local out, err = gives("run good.lua --seed 7", 0)
assert(out == [[
mqrig 0.1.0, seed 7, broker builtin, network real, jobs 1
passed   good.lua: a round trip
passed   good.lua: not connected
2 passed, 0 failed, 0 skipped
]] and err == "", out .. err)
gives("run good.lua -v", 0, "\n    printed\n")
gives("run good.lua -q", 0, "^mqrig [^\n]+seed %d+[^\n]+\n2 passed, 0 failed, 0 skipped\n$")
gives("run", 4, nil, "there is no directory scenarios/")
gives("run good.lua:6", 0, "\n1 passed, 0 failed, 0 skipped\n$")
gives("run good.lua -t '!trip'", 0, "not connected\n1 passed")
gives("run good.lua", 0, "jobs 2\n", nil, "MQRIG_JOBS=2")

-- A failure: expected over got, source, what was before, the command; and the command fails in the same way.
write("wrong.lua", head .. [[
scenario("wrong", function(t)
  local c = t:connect()
  c:subscribe("a/#", 1)
  c:publish("a/b", "hello", { qos = 1 })
  expect(c:next_message().payload):equals("hallo")
end)
]])
out = gives("run wrong.lua --seed 7", 1, "\n0 passed, 1 failed, 0 skipped\n$")
local shape = {
  "FAILED   wrong.lua: wrong", '  wrong.lua:7', '    expect(c:next_message().payload):equals("hallo")',
  '  expected  "hallo"\n  got       "hello"\n', "  before it", ' PUBLISH q1 id 1 "a/b" 5 B "hello"',
  "  written   mqrig-out/wrong-3-wrong-", "  again     ", "mqrig run wrong.lua:3 --seed 7\n",
}
local at = 1
for _, piece in ipairs(shape) do
  local from, to = out:find(piece, at, true)
  assert(from, piece .. "\n" .. out)
  at = to
end
assert(select(2, out:gsub("\n", "")) <= 26, out)
local capture = out:match "written   ([^\n]+)"
assert(program.read(capture):find "PUBLISH", capture)
gives(out:match "again     %S+ ([^\n]+)", 1, "FAILED   wrong.lua: wrong")
gives("run wrong.lua good.lua --last-failed --capture never", 1, "\n0 passed, 1 failed")

-- Files that do not load: named with the line, the others run.
for name, case in pairs {
  syntax = { "local x =\nend\n", 2, "unexpected symbol" },
  runtime = { "\nerror 'boom'", 2, "boom" },
  global = { "\n\nfoo = 1", 3, 'undeclared global "foo"' },
  option = { head .. "scenario('x', { tag = 1 }, function() end)", 3, 'did you mean "tags"' },
  spin = { "while true do end", 1, "never yields" },
  memory = { "local x = 'x' while true do x = x .. x end", nil, "not enough memory" },
  exit = { "os.exit(0)", 1, "os.exit would end the whole run" },
  twice = { head .. "scenario('x', function() end)\nscenario('x', function() end)", 4, "line 3 and on line 4" },
  waits = { head .. "coroutine.yield()", nil, "nothing can be waited for" },
} do
  local file = write("bad_" .. name .. ".lua", case[1])
  out = gives("run good.lua --memory 64m " .. file, 3, "\n2 passed, 0 failed, 0 skipped\n$")
  local place = case[2] and file .. ":" .. case[2] or file
  assert(out:find("did not load  " .. file .. "\n  " .. place .. "\n", 1, true), out)
  assert(out:find(case[3], 1, true), out)
end

-- Scenarios that do what they must not: each fails, with what is known, and the next one passes.
write("evil.lua", head .. [[
local function pid()
  return tostring(io.open("/proc/self/stat"):read "n")
end
scenario("spins", { timeout = "200ms" }, function() while true do end end)
scenario("spins in pcall", { timeout = "200ms" }, function()
  while true do pcall(function() while true do end end) end
end)
scenario("hears nothing", { timeout = "200ms" }, function() os.execute "sleep 60" end)
scenario("waits", { timeout = "200ms" }, function(t) t:sleep(30) end)
scenario("eats", function() local x = {} while true do x[#x + 1] = ("x"):rep(100000) .. #x end end)
scenario("exits", function() os.exit(0) end)
scenario("raises nothing", function() error() end)
scenario("raises a table", function() error { 1 } end)
scenario("recurses", function() local function f() return 1 + f() end f() end)
scenario("unknown option", function(t) t:connect { kepalive = 3 } end)
scenario("dies", function(t) t:process { "kill", "-KILL", pid() } t:sleep(30) end)
scenario("good", function(t) t:connect():publish("a", "b") end)
]])
for _, jobs in ipairs { 1, 3 } do
  out = gives("run evil.lua --memory 96m -j" .. jobs, 70, "\n1 passed, 11 failed, 0 skipped\n$")
  for _, piece in ipairs {
    "never yields", "nothing came within its timeout of 0.2 s", "did not end within 200",
    "more than its 96 MiB (--memory)", "os.exit would end", "stack overflow", 'did you mean "keepalive"',
    "the worker process that ran it was killed by signal KILL",
  } do
    assert(out:find(piece, 1, true), piece .. "\n" .. out)
  end
end

-- The other reports, several at once.
gives("run wrong.lua good.lua -r tap -r junit:r.xml -r json:r.json", 1, "^TAP version 14\n1%.%.3\n")
assert(program.read("r.xml"):find 'tests="3" failures="1"')
assert(select(2, program.read("r.json"):gsub("\n", "")) == 8, program.read "r.json")
if os.execute "command -v xmllint >/dev/null 2>&1" then
  assert(os.execute(("xmllint --noout %s/r.xml"):format(program.folder)))
end
gives("run good.lua -r junit:nowhere/r.xml", 5, "^$", "cannot be written: nowhere/r.xml")
gives("run good.lua wrong.lua -r junit:/dev/full", 5, "\n2 passed, 1 failed", "not complete: No space left")

-- The surroundings.
gives("run good.lua --broker tcp://127.0.0.1:1", 5, "^$", "cannot be reached: .*refused")
gives("run good.lua --broker unix:///nowhere/x", 5, "^$", "cannot be reached")
gives("run good.lua --broker tcp://", 2, "^$", "bad URL")
gives("run good.lua --fault 'up PUBLSH drop'", 2, "^$", 'did you mean "PUBLISH"')
out = gives("run good.lua:3 --fault 'up PUBLISH first rst'", 1, "%-%-fault 'up PUBLISH first rst'")
assert(out:find "got       %-1 %(FAILURE%)", out)

-- Order of one worker is that of the files; whatever the number of workers, the same results.
local function names_of(line)
  local list = {}
  for name in gives(line, 0):gmatch "\npassed   [^\n]-: ([^\n]+)" do
    list[#list + 1] = name
  end
  return list
end
write("many.lua", head .. "for i = 1, 40 do scenario('n' .. i, function(t) t:sleep(0.001) end) end")
local one, four = names_of "run many.lua", names_of "run many.lua -j4"
for i = 1, 40 do
  assert(one[i] == "n" .. i)
end
table.sort(one)
table.sort(four)
assert(table.concat(one, " ") == table.concat(four, " "))
local shuffled = "run many.lua --shuffle --seed 1"
assert(table.concat(names_of(shuffled)) == table.concat(names_of(shuffled)))

program.finish()
