-- Tasks: order, deadlines, wakes, failures with their tracebacks, and what may not wait.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
local core = require "jumping_core"
local task = require "mqrig.task"
local failure = require "mqrig.failure"

local SECOND = 1000000000

local function run(fn, seconds)
  local s = task.new(math.maxinteger)
  core.on_error(function(why)
    s:failed(nil, why)
  end)
  local main = s:spawn(function()
    fn(s)
  end)
  local outcome, reason = s:run(main, core.now() + (seconds or 10) * SECOND)
  return outcome, s, reason, main
end

-- Sleeps end in the order of their times, and time passes by exactly that.
local order = {}
local began = core.now()
assert(run(function(s)
  local tasks = {}
  for _, n in ipairs { 3, 1, 2 } do
    tasks[#tasks + 1] = s:spawn(function()
      task.sleep(n * SECOND)
      order[#order + 1] = n
    end)
  end
  for _, t in ipairs(tasks) do
    assert(t:wait_done(9 * SECOND))
  end
end) == "done")
assert(table.concat(order) == "123" and core.now() - began == 3 * SECOND)

-- A wait ends when it is notified, or at its deadline; both can be told apart, and nothing stays behind.
assert(run(function(s)
  local box = {}
  core.timer(core.now() + SECOND, function()
    box.full = true
    task.notify(box)
  end)
  local function full(b)
    return b.full
  end
  assert(not task.wait_for(box, full, SECOND // 2, "a box"))
  assert(#(box.waiters or {}) == 0)
  assert(task.wait_for(box, full, SECOND, "a box"))
  assert(task.wait_for(box, full, 0, "a box"))
  assert(s.deadlines.size == 0)
end) == "done")

-- Conditions are looked at once a turn.
assert(run(function()
  local looks, due = 0, core.now() + SECOND
  core.timer(core.now() + SECOND // 2, function() end)
  assert(task.watch(core.now() + 9 * SECOND, "time", function()
    looks = looks + 1
    return core.now() >= due - SECOND // 2
  end))
  assert(looks >= 1 and looks <= 3)
  assert(not task.watch(core.now() + 1000, "never", function() return false end))
end) == "done")

-- The scenario's time.
local outcome, _, _, main = run(function()
  task.sleep(99 * SECOND)
end, 1)
assert(outcome == "timeout" and main.awaiting == "the end of a sleep")

-- A stop.
local stopping = task.new(math.maxinteger, function() return "enough" end)
local what, why = stopping:run(stopping:spawn(function() task.sleep(SECOND) end), core.now() + SECOND)
assert(what == "stopped" and why == "enough")

-- Errors: of the main task, of another, of a callback; text or value; with the line and the traceback.
local function inner()
  error "deep"
end
outcome, main = run(function() inner() end)
assert(outcome == "failed" and main.failure.error:find "task_test.lua:%d+: deep")
assert(main.failure.traceback:find "task_test.lua:%d+: in .*inner", main.failure.traceback)
assert(main.failure.file:find "task_test.lua$")

outcome, main = run(function(s)
  s:spawn(function() failure.raise { message = "no" } end)
  task.sleep(SECOND)
end)
assert(outcome == "failed" and failure.is(main.failure.error) and main.failure.error.message == "no")

outcome, main = run(function()
  core.timer(core.now() + 1, function() error "in a callback" end)
  task.sleep(SECOND)
end)
assert(outcome == "failed" and main.failure.error:find "in a callback")

-- A condition that fails fails the scenario.
outcome, main = run(function()
  task.watch(core.now() + SECOND, "x", function() error "bad condition" end)
end)
assert(outcome == "failed" and tostring(main.failure.error):find "bad condition")

-- What cannot wait says so, at its line, and says what to do.
local function refuses(fn, pattern)
  local result, s = run(fn)
  local raised = s.failure.error
  assert(result == "failed" and raised:find "task_test.lua:%d+: " and raised:find(pattern), raised)
end
refuses(function()
  table.sort({ 3, 1, 2 }, function() task.sleep(1) end)
end, "called by sort cannot wait")
refuses(function()
  ("abc"):gsub(".", function() task.sleep(1) end)
end, "called by gsub cannot wait")
refuses(function()
  package.preload.waiting_body = function() task.sleep(1) end
  require "waiting_body"
end, "body of a required module")
refuses(function()
  coroutine.wrap(function() task.sleep(1) end)()
end, "coroutine of your own")
refuses(function()
  core.timer(core.now() + 1, function() task.sleep(1) end)
  task.sleep(SECOND)
end, "callback cannot wait")

-- Waiting works inside pcall, iterators, metamethods and __close.
assert(run(function()
  assert(pcall(task.sleep, 1))
  local t = setmetatable({}, { __index = function(_, k) task.sleep(1) return k end })
  assert(t.x == "x")
  do
    local _ <close> = setmetatable({}, { __close = function() task.sleep(1) end })
  end
  for _ in function(_, n) task.sleep(1) if n < 3 then return n + 1 end end, nil, 1 do end
end) == "done")

-- start runs at once, up to the first wait.
assert(run(function(s)
  local seen = {}
  local t = s:start(function(a)
    seen[1] = a
    task.sleep(1)
    seen[2] = "later"
    return "result"
  end, "now")
  assert(seen[1] == "now" and not t.done)
  assert(t:wait_done(SECOND) and seen[2] == "later" and t.results[1] == "result")
  assert(s:start(function() return true end).results[1] == true)
end) == "done")

-- Cancelling closes what is to be closed, wakes who joins, and leaves no deadline behind.
assert(run(function(s)
  local closed = false
  local t = s:spawn(function()
    local _ <close> = setmetatable({}, { __close = function() closed = true end })
    task.sleep(99 * SECOND)
  end)
  task.sleep(1)
  t:cancel()
  assert(closed and t.done and t:wait_done(1) and s.deadlines.size == 0)
end) == "done")

-- Ten thousand tasks that wake each other.
assert(run(function(s)
  local box, woken = {}, 0
  for _ = 1, 10000 do
    s:spawn(function()
      task.wait_for(box, function(b) return b.open end, SECOND, "a box")
      woken = woken + 1
    end)
  end
  task.sleep(1)
  box.open = true
  task.notify(box)
  task.sleep(1)
  assert(woken == 10000)
end) == "done")
