-- One scenario from beginning to end: verdicts, reasons, places, and the order in which things are closed.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
local core = require "jumping_core"
local scenario = require "mqrig.scenario"
local expect = require("mqrig").expect

local function run(fn, options, more)
  local s = { name = "a test", file = "tests/lua/scenario_test.lua", line = 1, fn = fn }
  for key, value in pairs(more or {}) do
    s[key] = value
  end
  return scenario.run(s, options)
end

local function line_of(text)
  local number = 0
  for line in io.lines "tests/lua/scenario_test.lua" do
    number = number + 1
    if line:find(text, 1, true) then
      return number
    end
  end
end

-- Passing, skipping.
local r = run(function(t) t:sleep(1.5) end)
assert(r.verdict == "passed" and r.duration_ns == 1500000000 and not r.failure)
r = run(print, { broker = "builtin" }, { broker = "mosquitto" })
assert(r.verdict == "skipped" and r.reason == "needs --broker mosquitto")
r = run(print, {}, { net = "sim" })
assert(r.verdict == "skipped" and r.reason == "needs --net sim")

-- A failed expectation: where, what, the source line.
r = run(function() expect(-1):equals(-11) end) -- here
assert(r.verdict == "failed" and r.failure.line == line_of "-- here" and r.failure.file:find "scenario_test")
assert(r.failure.expected == "-11 (ERROR_OPERATION_INCOMPLETE)" and r.failure.got == "-1 (FAILURE)")
assert(r.failure.source:find "^r = run%(function%(%) expect")
assert(r.failure.traceback:find "scenario_test.lua:%d+: in ")

-- Raised texts, values, and nothing but nil.
r = run(function() error "plain" end)
assert(r.failure.message == "plain" and r.failure.line == line_of 'error "plain"')
r = run(function() error { 1 } end)
assert(r.failure.message:find "{ 1 }" and r.failure.line)
r = run(function() error() end)
assert(r.verdict == "failed" and r.failure.message:find "nil")
r = run(function() local x = nil; return x.y end)
assert(r.failure.message:find "attempt to index a nil value")

-- Its time.
r = run(function(t) t:sleep(5) end, { timeout_s = 2 })
assert(r.failure.message == "the scenario did not end within 2.00 s, while awaiting the end of a sleep")
assert(r.failure.line == line_of "t:sleep(5) end, { timeout_s = 2 }")

-- Waits in vain say what they waited for, at their line.
r = run(function(t) t:wait(function() return false end, { within = "300ms" }) end)
assert(r.failure.message == "the condition did not become true within 0.3 s" and r.duration_ns >= 300000000)
r = run(function(t) t:await(function() end, { within = 1 }) end)
assert(r.failure.message == "done() was not called within 1 s")

-- Stopped from outside: cleaned up all the same.
local closed = false
r = run(function(t)
  t:defer(function() t:sleep(0.1) closed = true end)
  t:sleep(9)
end, { stop = function() return "interrupted" end })
assert(r.interrupted and r.failure.message == "interrupted" and closed)

-- Closing in reverse order, with waits; an error while closing fails a scenario that had passed, and stops nothing.
local order = {}
r = run(function(t)
  t:defer(function() order[#order + 1] = "first" end)
  t:defer(function() t:sleep(0.1) order[#order + 1] = "second" end)
  t:defer(function() error "third" end)
  t:defer(function() t:sleep(99) end)
  t:defer(function() t:defer(function() order[#order + 1] = "late" end) end)
end)
assert(table.concat(order, " ") == "late second first", table.concat(order, " "))
assert(r.failure.message:find "^while closing: the scenario did not end within 5", r.failure.message)

-- Tasks.
r = run(function(t)
  local a = t:spawn(function(x) t:sleep(1) return x, nil, 3 end, 1)
  local x, y, z = a:join()
  assert(x == 1 and y == nil and z == 3 and a.done)
  local background = t:spawn(function() while true do t:sleep(0.1) end end)
  t:sleep(0.5)
  assert(not background.done)
end)
assert(r.verdict == "passed", r.reason)
r = run(function(t)
  t:spawn(function() expect(1):equals(2) end)
  t:sleep(1)
end)
assert(r.verdict == "failed" and r.failure.expected == "2")
r = run(function(t) t:spawn(function() t:sleep(9) end):join { within = 1 } end)
assert(r.failure.message == "the task did not end within 1 s")

-- An expectation that fails in a callback keeps what was expected.
r = run(function(t)
  core.timer(core.now() + 1, function() expect(1):equals(2) end)
  t:sleep(1)
end)
assert(r.failure.expected == "2" and r.failure.got == "1")

-- Misuse, at the user's line with the near name.
local function misused(fn, pattern)
  local result = run(fn)
  assert(result.verdict == "failed" and result.failure.message:find(pattern), result.failure and result.failure.message)
  assert(result.failure.file:find "scenario_test" and result.failure.line > 100)
end
misused(function(t) t:wait(function() end, { withn = 1 }) end, 'did you mean "within"')
misused(function(t) t:sleep("soon") end, "a duration is")
misused(function(t) t:conect() end, 'did you mean "connect"')
misused(function(t) t:spawn(1) end, "takes a function")
misused(function(t) t:proxy { upstream = 7 } end, "something that has one")
misused(function(t) t:random(2, 1) end, "no range")

-- The same seed gives the same; the log goes to the timeline.
local function draw(seed)
  local got
  run(function(t)
    got = { t:random(), t:random(10), t:random(5, 6), t:random { "a", "b" }, t.seed }
  end, { seed = seed })
  return table.concat(got, " ")
end
assert(draw(1) == draw(1) and draw(1) ~= draw(2))
r = run(function(t) t:log("one", 2, { 3 }) error "x" end, { capture = "always" })
assert(r.failure.timeline[1] == "one 2 { 3 }" and r.timeline:story()[1])

-- What is broken besides: it fails a scenario that had passed, and comes with the logs of one that had not.
local function breach(id)
  return { id = id, who = "c1", text = "it was wrong", promise = "it is right", line = "c1 -> PINGREQ", entry = 3 }
end
core.breaches = { breach "inv-06 dup", breach "inv-08 resume" }
r = run(function() end)
assert(r.verdict == "failed" and r.failure.message == "inv-06 dup: c1: it was wrong" and r.failure.line == 1)
assert(r.failure.expected == "it is right" and r.failure.got == "c1 -> PINGREQ")
assert(r.logs[1] == "broken: inv-08 resume: c1: it was wrong" and #r.logs == 1)
core.breaches = { breach "inv-06 dup" }
r = run(function() error "plain" end)
assert(r.failure.message == "plain" and r.logs[1] == "broken: inv-06 dup: c1: it was wrong")

-- What is in use is told as it was before the scenario and as it is when all that it made is closed; what is left, by name.
core.told, core.in_use.timers, core.opened = {}, 2, { "socket:[1]" }
r = run(function(t)
  core.in_use.streams, core.opened[2] = 5, "socket:[2]"
  t:defer(function()
    core.in_use.streams, core.opened[2] = 0, nil
  end)
end)
assert(r.verdict == "passed" and #core.told == 10)
assert(table.concat(core.told, "\n"):find "resource 0: 1 at the beginning\nresource 0: 1 at the end\n"
  and core.told[3] == "resource 1: 2 at the beginning" and core.told[6] == "resource 2: 0 at the end")
core.told, core.breaches = {}, { breach "inv-32 remains" }
r = run(function()
  core.in_use.timers, core.opened[2] = 3, "socket:[2]"
end)
assert(core.told[2] == "resource 0: 2 at the end" and core.told[4] == "resource 1: 3 at the end")
local last = r.failure.timeline
assert(last[#last - 1] == "left: a timer of c1" and last[#last] == "left: descriptor 2, socket:[2]")
