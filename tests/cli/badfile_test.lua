-- Scenario files that are wrong: each gets a sentence that says what, where, and what to do, and what is good beside
-- it runs.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local says, write, head = program.says, program.write, program.head

write("good.lua", head .. "scenario('good', function(t) t:connect():publish('a', 'b', { qos = 1 }) end)")

-- Files that do not load.
local unloadable = {
  { "local x =\nend\n", 2, "unexpected symbol near 'end'", "2 | end" },
  { head .. "scenario('x', function(t)\n  t:connect()\n", 5, "'end' expected (to close 'function' at line 3)" },
  { head .. "local function deep(x) return x.y end\nlocal v = deep()\n", 3, "attempt to index a nil value (local 'x')",
    "3 | local function deep(x)" },
  { "\nerror 'boom'", 2, "boom" },
  { "\nerror { code = 3 }", nil, "an error that is no text was raised: { code=3 }" },
  { "\nerror()", nil, "an error that is no text was raised: nil" },
  { "\n\nfoo = 1", 3, 'undeclared global "foo" is assigned: write `local foo`' },
  { "\nprnt 'x'", 2, 'undeclared global "prnt" is read, did you mean "print"?' },
  { "\nscenario('x', function() end)", 2, 'undeclared global "scenario" is read: write `local scenario = '
    .. 'require("mqrig")' },
  { "\nscenaro('x', function() end)", 2, 'undeclared global "scenaro" is read, did you mean "scenario"?' },
  { "\nrig.scenario('x', function() end)", 2, 'undeclared global "rig" is read: write `local rig = require "mqrig"`' },
  { head .. "scenario('x', { timout = 1 }, function() end)", 3,
    'scenario "x": no option "timout", did you mean "timeout"?' },
  { head .. "scenario('x', { tag = 1 }, function() end)", 3, 'no option "tag", did you mean "tags"?' },
  { head .. "scenario('x', { colour = 1 }, function() end)", 3,
    'no option "colour", known: broker, clause, net, params, seed, tags, timeout, transport' },
  { head .. "scenario('x', { timeout = 'soon' }, function() end)", 3,
    'a duration is seconds (0.25) or a text like "250ms"' },
  { head .. "scenario('x', { timeout = 0 }, function() end)", 3, "no scenario can end in no time" },
  { head .. "scenario('x', { net = 'reel' }, function() end)", 3, 'did you mean "real"?' },
  { head .. "scenario('x', { broker = 'mosquito' }, function() end)", 3, 'did you mean "mosquitto"?' },
  { head .. "scenario('x')", 3, "the last argument is a nil" },
  { head .. "scenario(function() end)", 3, "the name is a text" },
  { head .. "scenario('', function() end)", 3, "the name is a text that is not empty" },
  { head .. "scenario('a\\nb', function() end)", 3, "a scenario's name is one line of UTF-8 text" },
  { head .. "scenario('x', function() end)\nscenario('x', function() end)", 4,
    'two scenarios of this file are called "x": on line 3 and on line 4' },
  { head .. "for i = 1, 2 do\n  scenario('x', function() end)\nend", 4,
    'two scenarios of this file are called "x": on line 4 and on line 4' },
  { "while true do end", 1, "stopped: it never yields" },
  { "while true do pcall(function() while true do end end) end", 1, "stopped: it never yields" },
  { "local x = 'x'\nwhile true do x = x .. x end", nil, "not enough memory: the file needs more than --memory "
    .. "while it loads" },
  { "os.exit(0)", 1, "os.exit would end the whole run: return from the scenario, or raise an error" },
  { "pcall(os.exit, 0) error 'after'", 1, "after" },
  { head .. "coroutine.yield()", nil, "nothing can be waited for while the file loads: put it inside "
    .. "scenario(name, function(t)" },
  { "require 'nosuch'", 1, 'there is no module "nosuch" beside the file (nosuch.lua)' },
  { "require 'mqrig.core'", 1, '"mqrig.core" is inside mqrig: scenarios use require "mqrig"' },
  { "debug.sethook()", 1, "debug.sethook belongs to mqrig" },
}
local names = {}
for i, case in ipairs(unloadable) do
  names[i] = write(("bad%02d.lua"):format(i), case[1])
end
local out = says("run good.lua --timeout 1 --memory 64m " .. table.concat(names, " "), 3,
  { "passed   good.lua: good\n", ("%d files did not load\n1 passed, 0 failed, 0 skipped\n"):format(#unloadable) })
for i, case in ipairs(unloadable) do
  local place = case[2] and ("%s:%d"):format(names[i], case[2]) or names[i]
  local first = out:find(("did not load  %s\n  %s\n"):format(names[i], place), 1, true)
  assert(first, place .. "\n" .. out)
  local last = out:find("did not load  ", first + 1, true) or out:find("passed   good.lua", first, true)
  local piece = out:sub(first, last - 1):gsub("\n    ", " ")
  for k = 3, #case do
    assert(piece:find(case[k], 1, true), case[k] .. "\n" .. piece)
  end
end

-- All others run in the same way with more workers; a file that is no text, and one that cannot be read.
says("run good.lua bad01.lua bad02.lua -j4", 3, { "did not load  bad01.lua", "did not load  bad02.lua",
  "\n1 passed, 0 failed" })
write("binary.lua", "\27Lua\x54\0\x19\x93\r\n\x1a\n")
says("run binary.lua", 3, { "did not load  binary.lua", "attempt to load a binary chunk" })
says("list bad01.lua good.lua", 3, "good.lua:3: good\n", "bad01.lua:2 did not load: unexpected symbol near 'end'")

-- Printing while a file loads disturbs no report; a scenario's own printing neither.
write("prints.lua", head .. [[
print("loading", 1)
io.write("more\n")
scenario("prints", function() print("a", nil, 2) io.write("b\n") io.stderr:write("c\n") io.write("no end") end)
scenario("prints and fails", function() print("a", nil, 2) io.write("b\n") io.write("no end") error "here" end)
scenario("prints much", function() for i = 1, 100000 do print("line", i) end error "full" end)
]])
out = says("run prints.lua -r json", 1, nil, "loading\t1\nmore\n")
for line in out:gmatch "[^\n]+" do
  assert(line:find "^{.*}$", line)
end
says("run prints.lua", 1, { "passed   prints.lua: prints\n", "FAILED   prints.lua: prints and fails", "  here\n",
  "  logs and output:\n    a  nil  2\n    b\n    no end\n", "FAILED   prints.lua: prints much",
  "    line  99999\n    line  100000\n" })

-- Mistakes inside scenarios: at their line, with the near name.
local mistakes = {
  { "count = 1", 'undeclared global "count" is assigned: write `local count`' },
  { "t:conect()", 't has no conect, did you mean "connect"?' },
  { "t:client { keepalve = 3 }", 'no option "keepalve", did you mean "keepalive"?' },
  { "t:connect { kepalive = 3 }", 'no option "kepalive", did you mean "keepalive"?' },
  { "t:client { will = { topc = 'a' } }:connect()", 'will: no option "topc", did you mean "topic"?' },
  { "t:peer { nme = 'x' }", 't:peer: no option "nme", did you mean "name"?' },
  { "t:builtin { queued_mx = 3 }", 't:builtin: no option "queued_mx", did you mean "queued_max"?' },
  { "t:mosquitto { cnf = '' }", 't:mosquitto: no option "cnf", did you mean "conf"?' },
  { "t:raw_client { ulr = 'x' }", 'no option "ulr", did you mean "url"?' },
  { "t:process { 'true', nmae = 'x' }", 't:process: no option "nmae", did you mean "name"?' },
  { "mqtt.createclient { maxinfligth = 3 }", 'createclient: no option "maxinfligth", did you mean "maxinflight"?' },
  { "mqtt.createclient():connect('tcp://127.0.0.1:1', 'x', { cleansesion = true })",
    'connect: no option "cleansesion", did you mean "cleansession"?' },
  { "mqtt.createclient():createmessage('a', 'b', { qso = 1 })", 'createmessage: no option "qso", did you mean "qos"?' },
  { "t:client():pubish()", 'client has no pubish, did you mean "publish"?' },
  { "t:connect():publish('a', 'b', { qso = 1 })", 'publish: no option "qso", did you mean "qos"?' },
  { "t:connect():wait_sent('PUBLSH')", '"PUBLSH" is no packet type, did you mean "PUBLISH"?' },
  { "t:connect():wait_lost { witin = 1 }", 'wait_lost: no option "witin", did you mean "within"?' },
  { "t:connect():publish(nil, 'x')", "the topic is a string, not nil" },
  { "t:connect():publish('a', {})", "the payload is a string, not a table" },
  { "t:connect():publish('a/#', 'x')", "topic: a name with a wildcard" },
  { "t.connect()", "a method was called with a dot: write t:connect(), not t.connect()" },
  { "t:peer():play { { send = 1 } }", "peer:play, step 1: it is none of" },
  { "expect(1):equal(1)", 'expect(...) has no verb "equal", did you mean "equals"?' },
  { "t:sleep('3 parsecs')", 'a duration is seconds (0.25) or a text like "250ms"' },
  { "t:peer().down:on('PUBAK'):drop()", 'did you mean "PUBACK"?' },
  { "t:peer().down:on('PUBACK'):frist():drop()", 'rule has no frist, did you mean "first"?' },
  { "t:peer().down:on('PUBACK')", 'has no action, such as :drop()' },
  { "t:peer().down:on('PUBACK'):nth(3):drop()", 'the rule "down PUBACK nth 3 drop" was to fire and did so 0 times' },
  { "t:client { url = 'tpc://localhost' }:connect()", 'unknown scheme "tpc" in the URL: use one of tcp' },
  { "t:peer { url = 'tcp://127.0.0.1:x' }", 'bad port "x": a number from 0 to 65535, at column 17 of the URL' },
  { "local p = t:peer() t:peer { url = p.url }", "somebody else does already (the address is in use)" },
  { "t:peer { url = 'unix:///nonexistent/x.sock' }", "cannot listen at /nonexistent/x.sock: No such file or "
    .. "directory" },
  { "t:process { 'nosuchprogram' }", 'cannot run "nosuchprogram": not found in PATH' },
  { "table.sort({ 2, 1 }, function() t:sleep(0) end)", "a function that is called by sort cannot wait: collect first" },
  { "local c = t:connect() c.mqtt:onmessage(function() t:sleep(0) end) c:subscribe('a') c:publish('a', 'b') t:sleep(9)",
    "this waits, and a callback cannot wait: start a task with t:spawn" },
  { "coroutine.wrap(function() t:sleep(0) end)()", "a coroutine of your own cannot wait: start a task with t:spawn" },
  { "scenario('inner', function() end)", "it can be called only while a scenario file loads" },
  { "error()", "an error that is no text was raised: nil" },
  { "error(setmetatable({}, { __tostring = function() error 'twice' end }))", "an error that is no text" },
  { "os.exit(0)", "os.exit would end the whole run" },
  { "pcall(os.exit) expect(1):equals(2)", "the values are not equal" },
  { "local x = nil; x.y = 1", "attempt to index a nil value (local 'x')" },
}
local lines = {}
for i, case in ipairs(mistakes) do
  lines[i] = ("scenario('m%d', function(t) %s end)"):format(i, case[1])
end
write("mistakes.lua", head .. table.concat(lines, "\n") .. "\nscenario('last', function(t) t:connect() end)\n")
out = program.says("run mistakes.lua --capture never --timeout 2", 1, "\npassed   mistakes.lua: last\n")
local failures = program.failures(out)
for i, case in ipairs(mistakes) do
  local report = failures["m" .. i]
  if case[2] ~= "" then
    assert(report, case[1] .. "\n" .. out)
    local whole = report:gsub("\n  ", " ")
    assert(whole:find(case[2], 1, true), case[2] .. "\n" .. report)
    assert(report:find(("^  mistakes.lua:%d\n    scenario"):format(i + 2)), report)
  end
end

program.finish()
