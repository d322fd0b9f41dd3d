-- scenario: runs one scenario from beginning to end, and says what became of it.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local context = require "mqrig.context"
local environment = require "mqrig.environment"
local failure = require "mqrig.failure"
local invariants = require "mqrig.invariants"
local mqttapi = require "mqrig.mqttapi"
local paths = require "mqrig.paths"
local remains = require "mqrig.remains"
local rule = require "mqrig.rule"
local simulation = require "mqrig.simulation"
local task = require "mqrig.task"
local units = require "mqrig.units"

local M = {}

M.TIMEOUT_S = 10           -- of a scenario that names none
M.FAILURE_LINES = 40       -- of the timeline, in a failure
local CLOSE_NS = 5000000000 -- for each thing that is closed
local GUARD_NS = 500000000  -- after its time is over, a scenario is stopped inside its code

local stop_reason -- of the run that goes on

--- Ends the scenario that runs, at its next wait, with this sentence; may be called in a turn.
function M.stop(sentence)
  stop_reason = sentence or "stopped"
  core.wake()
end

local function source_line(file, number)
  local handle = file and io.open(paths.at(file), "r")
  if not handle then
    return nil
  end
  local count, found = 0, nil
  for line in handle:lines() do
    count = count + 1
    if count == number then
      found = line
      break
    end
  end
  handle:close()
  return found and found:match "^%s*(.-)%s*$"
end

-- Takes "file:line: " off a message, with what stands there.
local function split_position(message)
  local file, line, rest = message:match "^([^\n]-):(%d+): (.*)$"
  if file and not file:find " " then
    return rest, file, tonumber(line)
  end
  return message
end

-- From what a callback's error came with: text, then a traceback.
local function from_text(whole)
  local message, trace = whole:match "^(.-)\nstack traceback:\n(.*)$"
  local text, file, line = split_position(message or whole)
  if file and blame.is_ours(file) then -- the line to be shown is the one that called it
    local dot = text:find("local 'self'", 1, true)
    text = dot and "a method was called with a dot: write t:connect(), not t.connect()"
      or ("%s (in %s:%d)"):format(text, file, line)
    file, line = nil, nil
  end
  return { message = text, file = file, line = line, traceback = trace and blame.own_lines(trace) }
end

-- The failure as the result has it.
local function describe(failed)
  local e = failed.error
  if failure.is_skip(e) then
    return { skip = e.reason }
  elseif failure.is(e) then
    return {
      message = e.message,
      expected = e.expected,
      got = e.got,
      file = e.file,
      line = e.line,
      environment = e.environment,
      traceback = failed.traceback,
    }
  elseif type(e) ~= "string" then
    local text = require("mqrig.show").value(e)
    local message = "an error that is no text was raised: " .. text
    return { message = message, file = failed.file, line = failed.line, traceback = failed.traceback }
  end
  local f = from_text(e)
  f.file, f.line = f.file or failed.file, f.line or failed.line
  f.traceback = failed.traceback or f.traceback
  if f.message:find("attempt to yield across a C-call boundary", 1, true) then
    f.message = "something that waits was called by a function that cannot wait (table.sort, string.gsub, ...): "
      .. "collect first, wait afterwards"
  end
  return f
end

-- What the main task stood at when its time, "10 s" or "10 s of virtual time", was over.
local function timeout_failure(main, time)
  local awaiting = main.awaiting and ", while awaiting " .. main.awaiting or ""
  local file, line = blame.where(main.co)
  local deadlock = simulation.deadlock()
  return {
    message = ("the scenario did not end within %s%s%s"):format(time, awaiting, deadlock and "\n" .. deadlock or ""),
    file = file,
    line = line,
    traceback = blame.traceback(main.co),
  }
end

local function unmet_failure(t)
  local builder, text = rule.unfinished(t.builders)
  if builder then
    local message = ('the rule "%s" has no action, such as :drop()'):format(text)
    return { message = message, file = builder.file, line = builder.line }
  end
  local handle, why = rule.unmet(t.rules)
  if handle then
    return { message = why, file = handle.file, line = handle.line }
  end
  return simulation.stranger()
end

-- Runs fn(...) as the only task of interest; returns nil or its failure. In simulation there is a limit on real time
-- besides, `real_ns`.
local function run_task(scheduler, timeout_ns, real_ns, fn, ...)
  local virtual = simulation.is_on()
  local began_ns, real_began_ns = core.now(), core.real_now()
  scheduler.deadline_ns = real_began_ns + (virtual and real_ns or timeout_ns) + GUARD_NS
  scheduler.failure = nil
  local main = scheduler:spawn(fn, ...)
  local outcome, reason = scheduler:run(main, began_ns + timeout_ns, virtual and real_began_ns + real_ns)
  local failed
  if outcome == "failed" then
    failed = describe(scheduler.failure)
  elseif outcome == "timeout" then
    failed = timeout_failure(main, units.show_duration_ns(timeout_ns) .. (virtual and " of virtual time" or ""))
  elseif outcome == "real timeout" then
    failed = timeout_failure(main, ("%s of real time (--real-timeout), in which %s of virtual time went by"):format(
      units.show_duration_ns(real_ns), units.show_duration_ns(core.now() - began_ns)))
  elseif outcome == "stopped" then
    failed = { message = reason, stopped = true }
  end
  scheduler.deadline_ns = core.real_now() + GUARD_NS -- for what closes when tasks are ended
  scheduler:cancel_all()
  return failed
end

-- Everything that the scenario made, newest first, whatever happens. Returns the first failure.
local function close_all(scheduler, t)
  local first
  local owned = t.owned
  for i = #owned, 1, -1 do
    local thing = owned[i]
    owned[i] = nil
    local failed = run_task(scheduler, CLOSE_NS, CLOSE_NS, thing.close, thing)
    if failed and not failed.stopped then
      first = first or failed
    end
    if #owned > i - 1 then
      return close_all(scheduler, t) or first -- closing made something new
    end
  end
  return first
end

-- Clients of the API itself that are still there. What their callbacks say now, after the verdict, does not count.
local function close_left(scheduler)
  core.on_error(function() end)
  mqttapi.finish()
  core.on_error(function(message)
    scheduler:failed(nil, message)
  end)
end

local function complete(failed, scenario, timeline, verbose)
  failed.file = failed.file or scenario.file
  failed.line = failed.line or scenario.line
  failed.source = source_line(failed.file, failed.line)
  failed.timeline = require("mqrig.faultlines").lines(timeline, M.FAILURE_LINES, verbose, failed.entry)
  return failed
end

local function collect_logs(t)
  local logs = {}
  for _, log in ipairs(t.logs) do
    for line in log:text():gmatch "[^\n]+" do
      logs[#logs + 1] = ("%s: %s"):format(log.name, line)
    end
  end
  return logs
end

-- What a scenario that failed for another reason has broken besides, comes with its logs.
local function judge(checker, failed, scenario, timeline, verbose, logs)
  local broken, others = invariants.failure(checker:judge())
  if broken and failed then
    table.insert(others, 1, broken.message)
  end
  for _, line in ipairs(others) do
    logs[#logs + 1] = "broken: " .. line
  end
  return failed or broken and complete(broken, scenario, timeline, verbose)
end

local function new_context(scenario, options, scheduler, timeline)
  return context.new(scheduler, timeline, {
    choice = options.broker or "builtin",
    params = options.params or scenario.params or {},
    seed = options.seed or 0,
    net = options.net or "real",
    transport = options.transport or "tcp",
    name = scenario.name,
    faults = options.faults or {},
    log = options.log,
    progress = options.progress,
    out = options.out,
  })
end

local function body(scenario, t)
  scenario.fn(t)
  require("mqrig.play").finish(t.plays)
end

local function run_body(scenario, options, scheduler, t)
  local timeout_s = options.timeout_s or scenario.timeout_s or M.TIMEOUT_S
  local real_s = options.real_timeout_s or simulation.REAL_S
  local failed = run_task(scheduler, math.floor(timeout_s * 1e9), math.floor(real_s * 1e9), body, scenario, t)
  return failed or unmet_failure(t)
end

local function prepare(options, scheduler)
  stop_reason = nil
  mqttapi.begin()
  if core.seed then
    core.seed(options.seed or 0)
  end
  core.on_error(function(message)
    if not scheduler.forgiving then
      scheduler:failed(nil, message)
    end
  end)
  core.memory_limit(options.memory or 0)
end

local function run_open(scenario, options, result)
  local timeline = core.timeline()
  core.use_timeline(timeline)
  local scheduler = task.new(0, function()
    return stop_reason or (options.stop and options.stop(timeline))
  end)
  prepare(options, scheduler)
  if simulation.is_on() then
    simulation.tell_waiting(function()
      return scheduler:waiting()
    end)
  end
  local t = new_context(scenario, options, scheduler, timeline)
  local checker = invariants.checker(timeline, t.net)
  local began = remains.count()
  local failed = run_body(scenario, options, scheduler, t)
  core.memory_limit(0)
  if failed and failed.skip then
    result.skip, failed = failed.skip, nil
  end
  if failed then
    collectgarbage() -- a scenario may have failed for want of memory
    failed = complete(failed, scenario, timeline, options.verbose)
  end
  result.stopped = failed and failed.stopped
  result.interrupted = result.stopped
  stop_reason = nil
  scheduler.stop = nil -- what is being closed may take its time
  if options.closing then
    options.closing()
  end
  close_left(scheduler)
  local closing = close_all(scheduler, t)
  if closing and not failed then
    closing.message = "while closing: " .. closing.message
    failed = complete(closing, scenario, timeline, options.verbose)
  end
  result.logs = collect_logs(t)
  if not result.skip then
    remains.tell(timeline, began)
    failed = judge(checker, failed, scenario, timeline, options.verbose, result.logs)
  end
  result.failure = failed
  local capture = options.capture
  if capture == "always" or (failed and capture == "on-failure") then
    result.timeline = timeline
  end
  if options.trace then
    options.trace(timeline)
  end
  if simulation.is_on() then
    result.hash = simulation.hash(timeline)
  end
  core.use_timeline(nil)
end

-- The same in a virtual world of its own.
local function run_virtual(scenario, options, result)
  simulation.enter(scenario, options)
  local began_ns = core.now()
  local ok, problem = xpcall(run_open, debug.traceback, scenario, options, result)
  result.duration_ns = core.now() - began_ns
  simulation.leave()
  if not ok then
    error(problem, 0)
  end
end

--- Runs a scenario of the registry. `options`: seed, broker, net, params, faults, timeout_s, real_timeout_s, capture,
--- memory; stop(timeline) is asked every turn for a reason to end, trace(timeline) is called when all is over. The
--- world is open; with net = "sim" the scenario gets a virtual one of its own.
--- Returns { verdict = "passed" | "failed" | "skipped", reason, duration_ns, failure, timeline, logs, stopped, hash }.
function M.run(scenario, options)
  options = options or {}
  local reason = environment.lacks(scenario, options)
  local result = { verdict = "skipped", reason = reason, duration_ns = 0, logs = {} }
  if not reason then
    local began_ns = core.now()
    if options.net == "sim" then
      run_virtual(scenario, options, result)
    else
      run_open(scenario, options, result)
      result.duration_ns = core.now() - began_ns
    end
    result.verdict = result.failure and "failed" or result.skip and "skipped" or "passed"
    result.reason = result.failure and result.failure.message or result.skip
  end
  return result
end

return M
