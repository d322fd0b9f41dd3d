-- task: coroutines that wait.
--
-- There is one way to wait, `suspend`: a task stops until somebody wakes it or its deadline passes. Everything else
-- is made of it:
-- `wait_for` stands in the list of waiters of whatever will be ready, `watch` has a condition looked at once a turn.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local deadlines = require "mqrig.deadlines"

local M = {}

local POLL_NS = 5000000 -- how long a turn may last while a task looks at a condition of its own

local Scheduler = {}
Scheduler.__index = Scheduler
local Task = {}
Task.__index = Task
Task.__name = "task"

local current -- the task that runs, or nil: in a callback, or outside

function M.current()
  return current
end

-- The name of the C function between the task and us that cannot be left by yielding.
local function barrier()
  local level = 3
  local info
  repeat
    info = debug.getinfo(level, "Sn")
    if info and info.what == "C" and info.name and info.name ~= "pcall" and info.name ~= "xpcall" then
      return info.name
    end
    level = level + 1
  until not info
end

local function refuse(task)
  if not task then
    blame.raise "this waits, and a callback cannot wait: start a task with t:spawn(function() ... end)"
  elseif coroutine.running() ~= task.co then
    blame.raise "this waits, and a coroutine of your own cannot wait: start a task with t:spawn(function() ... end)"
  elseif barrier() == "require" then
    blame.raise "this waits, and the body of a required module cannot wait: put it into a function and call that"
  end
  blame.raise(("this waits, and a function that is called by %s cannot wait: collect first, wait afterwards"):format(
    barrier() or "C code"))
end

--- Stops the running task until it is woken (true) or `due_ns` (false). `what`: the sentence part for "awaiting ...".
function M.suspend(due_ns, what)
  local task = current
  if not task or coroutine.running() ~= task.co or not coroutine.isyieldable() then
    refuse(task)
  end
  task.awaiting = what
  task.scheduler.deadlines:add(task, due_ns)
  return coroutine.yield()
end

local function make_ready(task, woken)
  local s = task.scheduler
  s.deadlines:remove(task)
  task.woken = woken
  s.ready[#s.ready + 1] = task
end

local function wake(task)
  if task.heap_index then
    make_ready(task, true)
  end
end

local function forget(list, task)
  for i = #list, 1, -1 do
    if list[i] == task then
      table.remove(list, i)
    end
  end
end

--- Waits until ready(owner); `notify(owner)` is what makes it look again. False if that did not come within
--- `within_ns`.
function M.wait_for(owner, ready, within_ns, what)
  if ready(owner) then
    return true
  end
  local due_ns = core.now() + within_ns
  repeat
    local waiters = owner.waiters or {}
    owner.waiters = waiters
    waiters[#waiters + 1] = current
    if not M.suspend(due_ns, what) then
      forget(owner.waiters or {}, current)
      return ready(owner)
    end
  until ready(owner)
  return true
end

--- Something about `owner` has changed.
function M.notify(owner)
  local waiters = owner.waiters
  if waiters then
    owner.waiters = nil
    for i = 1, #waiters do
      wake(waiters[i])
    end
  end
end

--- Waits for a turn after which check(arg) is true; without `check`, for the next turn. `check` must not wait. False
--- at `due_ns`.
function M.watch(due_ns, what, check, arg)
  local s = current and current.scheduler
  if s then
    s.conditions[#s.conditions + 1] = { task = current, check = check, arg = arg }
  end
  return M.suspend(due_ns, what)
end

local SLEEP = "the end of a sleep"

--- Waits for ever (as far as the scenario's own deadline lets it) or for a time.
function M.sleep(ns)
  M.suspend(core.now() + ns, SLEEP)
end

--- `deadline_ns`, of the real clock: code that has not given way by then is stopped. `stop()`: a reason to end, or nil;
--- asked every turn.
function M.new(deadline_ns, stop)
  return setmetatable({
    deadline_ns = deadline_ns,
    stop = stop,
    runs = 0, -- how often a task has run on
    ready = {},
    conditions = {},
    live = {},
    deadlines = deadlines.new(),
  }, Scheduler)
end

--- A task that starts in the next round.
function Scheduler:spawn(fn, ...)
  local task = setmetatable({ scheduler = self, co = coroutine.create(fn), start = table.pack(...) }, Task)
  self.live[task] = true
  self.ready[#self.ready + 1] = task
  return task
end

local function finish(task, ok, ...)
  if coroutine.status(task.co) == "suspended" and ok then
    return
  end
  task.scheduler.live[task] = nil
  task.done = true
  if ok then
    task.results = table.pack(...)
  else
    task.scheduler:failed(task, (...))
    coroutine.close(task.co)
  end
  M.notify(task)
end

local function resume(task)
  if task.done then
    return
  end
  local before = current
  current = task
  task.awaiting = nil
  task.scheduler.runs = task.scheduler.runs + 1
  local start = task.start
  if start then
    task.start = nil
    finish(task, core.guarded_resume(task.scheduler.deadline_ns, task.co, table.unpack(start, 1, start.n)))
  else
    finish(task, core.guarded_resume(task.scheduler.deadline_ns, task.co, task.woken))
  end
  current = before
end

--- A task that runs at once, inside the caller, until it first waits. For callbacks. Returns the task.
function Scheduler:start(fn, ...)
  local task = setmetatable({ scheduler = self, co = coroutine.create(fn), start = table.pack(...) }, Task)
  self.live[task] = true
  resume(task)
  return task
end

--- The first failure counts; `task` may be nil. Kept as { error=, co=, task= } until the scenario looks at it. While
--- `self.forgiving` a task beside the main one may fail, and a callback.
function Scheduler:failed(task, message)
  if not self.failure and not (self.forgiving and task and task ~= self.main) then
    self.failure = { error = message, traceback = task and blame.traceback(task.co) }
    if task and type(message) == "string" then
      self.failure.file, self.failure.line = blame.where(task.co)
    end
  end
end

--- What no task did, and makes the scenario fail where its main task stands.
function Scheduler:trouble(sentence)
  local main = self.main
  local file, line = blame.where(main and main.co)
  self:failed(main, require("mqrig.failure").new { message = sentence, file = file, line = line })
end

local function run_ready(self, main)
  local batch = self.ready
  self.ready = {}
  for i = 1, #batch do
    resume(batch[i])
    if self.failure or main.done then
      table.move(batch, i + 1, #batch, #self.ready + 1, self.ready)
      return
    end
  end
end

local function expire(self, now_ns)
  local task = self.deadlines:first()
  while task and task.due_ns <= now_ns do
    make_ready(task, false)
    task = self.deadlines:first()
  end
end

-- Looks at every condition once; those that hold, and those whose task was woken otherwise, leave the list.
local function look(self)
  local list, kept = self.conditions, 0
  for i = 1, #list do
    local c = list[i]
    list[i] = nil
    if c.task.heap_index then
      local ok, holds = true, true
      if c.check then
        ok, holds = pcall(c.check, c.arg)
      end
      if not ok then
        self:failed(c.task, holds)
      elseif holds then
        wake(c.task)
      else
        kept = kept + 1
        list[kept] = c
      end
    end
  end
end

local function turn_until(self, deadline_ns, now_ns)
  if #self.ready > 0 then
    return now_ns
  end
  local first = self.deadlines:first()
  local until_ns = first and math.min(first.due_ns, deadline_ns) or deadline_ns
  for i = 1, #self.conditions do
    if not self.conditions[i].check then
      return math.min(until_ns, now_ns + POLL_NS)
    end
  end
  return until_ns
end

local function turn(self, until_ns)
  local ok, message = core.guarded(self.deadline_ns, core.turn, until_ns, #self.conditions == 0)
  if not ok then
    self:failed(nil, message)
  end
end

--- What every task that waits stands at, a line each, the scenario's own first; nil while one sleeps, for that goes on
--- by itself.
function Scheduler:waiting()
  local lines = {}
  for task in pairs(self.live) do
    if task.awaiting == SLEEP then
      return nil
    elseif task.awaiting then
      local file, line = blame.where(task.co)
      local where = file and (" at %s:%d"):format(file, line) or ""
      table.insert(lines, task == self.main and 1 or #lines + 1,
        (task == self.main and "the scenario" or "a task") .. where .. " awaits " .. task.awaiting)
    end
  end
  return lines
end

--- Runs until `main` is done: "done"; a task failed: "failed"; `deadline_ns` passed: "timeout"; the real clock has come
--- to `real_ns` (nil: never): "real timeout"; or "stopped" and the reason.
function Scheduler:run(main, deadline_ns, real_ns)
  self.main = main
  while true do
    run_ready(self, main)
    if self.failure then
      return "failed"
    elseif main.done then
      return "done"
    end
    local reason = self.stop and self.stop()
    if reason then
      return "stopped", reason
    end
    local now_ns = core.now()
    if now_ns >= deadline_ns then
      return "timeout"
    elseif real_ns and core.real_now() >= real_ns then
      return "real timeout"
    end
    turn(self, turn_until(self, deadline_ns, now_ns))
    if self.failure then
      return "failed"
    end
    look(self)
    expire(self, core.now())
  end
end

--- Ends a task where it stands; its to-be-closed variables are closed.
function Task:cancel()
  if self.done then
    return
  end
  self.done, self.cancelled = true, true
  self.scheduler.live[self] = nil
  self.scheduler.deadlines:remove(self)
  if self.co ~= coroutine.running() then
    coroutine.close(self.co)
  end
  M.notify(self)
end

local function is_done(task)
  return task.done
end

--- Waits for its end within `within_ns`; false if it did not come.
function Task:wait_done(within_ns)
  return M.wait_for(self, is_done, within_ns, "the end of a task")
end

--- Ends all tasks.
function Scheduler:cancel_all()
  local list = {}
  for task in pairs(self.live) do
    list[#list + 1] = task
  end
  for _, task in ipairs(list) do
    task:cancel()
  end
  self.ready, self.conditions = {}, {}
end

return M
