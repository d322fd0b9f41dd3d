-- worker: the child's side of a run. It has all loaded scenarios by inheritance, is told which to run, one at a time,
-- and answers with the result. Messages are JSON: { scenario=, seed=, run_seed=, round= } comes, a result goes; "stop"
-- comes as it is. "closing" goes when a scenario's time is over and what it made is being closed, "again" when it is run a
-- second time, "progress" and a line when a long one has got further.

local core = require "mqrig.core"
local capture = require "mqrig.capture"
local checks = require "mqrig.checks"
local dkjson = require "dkjson"
local twice = require "mqrig.twice"

local M = {}

M.TEXT_MAX = 16384 -- of one text in a result
M.LOGS_MAX = 1000 -- lines of a scenario's log

local DEPTH_MAX = 8

-- What may travel: text cut to a length, numbers that JSON has, no functions.
local function portable(value, depth)
  local kind = type(value)
  if kind == "string" then
    return #value > M.TEXT_MAX and value:sub(1, M.TEXT_MAX) .. "..." or value
  elseif kind == "table" and depth < DEPTH_MAX then
    local copy = {}
    for key, item in pairs(value) do
      copy[key] = portable(item, depth + 1)
    end
    return copy
  elseif kind == "number" then
    return value == value and math.abs(value) ~= math.huge and value or tostring(value)
  elseif kind == "boolean" then
    return value
  end
  return tostring(value)
end

--- A result as it travels.
function M.portable(result)
  return portable(result, 0)
end

--- The scenario's defaults, changed by -p; a text becomes what its default is.
function M.merge_params(scenario, given)
  local params = {}
  for key, value in pairs(scenario.params) do
    params[key] = value
  end
  for _, pair in ipairs(given) do
    local key, value = pair[1], pair[2]
    local default = scenario.params[key]
    if type(default) == "number" then
      value = math.tointeger(tonumber(value)) or tonumber(value)
      if not value then
        return nil, ("--param %s: this scenario's %s is a number, not %q"):format(key, key, pair[2])
      end
    elseif type(default) == "boolean" then
      local sentence
      value, sentence = checks.flag(value)
      if value == nil then
        return nil, ("--param %s: this scenario's %s %s"):format(key, key, sentence)
      end
    end
    params[key] = value
  end
  return params
end

local function options_of(scenario, job, settings, hooks)
  local params, sentence = M.merge_params(scenario, settings.param)
  if not params then
    return nil, sentence
  end
  return {
    seed = job.seed, run_seed = job.run_seed, broker = settings.broker, net = settings.net, version = settings.mqtt, transport = settings.transport,
    params = params, faults = settings.fault, memory = settings.memory, capture = settings.capture, out = settings.out,
    timeout_s = scenario.timeout_s or settings.timeout, real_timeout_s = settings.real_timeout,
    verbose = settings.verbose, log = hooks.log, stop = hooks.stop, trace = hooks.trace, closing = hooks.closing,
    progress = hooks.progress,
  }
end

local function failed(message, more)
  local result = { verdict = "failed", duration_ns = 0, failure = { message = message }, logs = {} }
  for key, value in pairs(more or {}) do
    result[key] = value
  end
  return result
end

local function keep_timeline(scenario, job, settings, result)
  local timeline = result.timeline
  result.timeline = nil
  if not timeline or not capture.is_wanted(settings, result.verdict) then
    return
  end
  local stem = capture.path(scenario, settings, job)
  local files, sentence = capture.write(stem, scenario, result, timeline, job.run_seed)
  if not files then
    result.trouble = sentence
    return
  end
  local holder = result.failure or result
  holder.files = table.move(files, 1, #files, #(holder.files or {}) + 1, holder.files or {})
end

local function keep_logs(result, logs)
  local all = result.logs or {}
  table.move(logs, 1, #logs, #all + 1, all)
  if #all > M.LOGS_MAX then
    local cut = #all - M.LOGS_MAX
    all = table.move(all, cut + 1, #all, 1, {})
    table.insert(all, 1, ("(%d lines before these)"):format(cut))
  end
  result.logs = all
end

--- Runs it and returns its result, `timeline` among it if that is wanted. Hooks, all optional: stop, closing, progress,
--- trace.
function M.run_once(scenario, job, settings, hooks)
  local logs = {}
  hooks.log = function(line)
    logs[#logs + 1] = tostring(line)
  end
  local options, sentence = options_of(scenario, job, settings, hooks)
  if not options then
    return failed(sentence)
  end
  if scenario.begin then
    scenario:begin(job)
  end
  local began_ns = core.now()
  local ok, result = xpcall(require("mqrig.scenario").run, debug.traceback, scenario, options)
  if not ok then
    result = failed("mqrig itself failed: " .. tostring(result), { internal = true })
  end
  if result.failure and (result.failure.message or ""):find "^not enough memory" then
    local most = settings.memory >> 20
    result.failure.message = ("not enough memory: it needs more than its %d MiB (--memory)"):format(most)
  end
  result.duration_ns = result.duration_ns or core.now() - began_ns
  core.end_orphans()
  if scenario.finish then
    scenario:finish(result)
  end
  keep_logs(result, logs)
  return result
end

-- Where it is to be run twice: a second run that differs makes it fail.
local function run(scenario, job, settings, hooks)
  local trace
  if settings.twice then
    hooks.trace = function(timeline)
      trace = { hashes = timeline:hashes(), lines = twice.lines(timeline) }
    end
  end
  local result = M.run_once(scenario, job, settings, hooks)
  if trace and not result.interrupted then
    hooks.again()
    local timeline = result.timeline
    result.timeline = nil
    result.failure = twice.check(scenario, job, settings, M.portable(result), trace) or result.failure
    result.verdict = result.failure and "failed" or result.verdict
    result.timeline = timeline
  end
  keep_timeline(scenario, job, settings, result)
  return result
end

--- What the child does. `scenarios` as loaded by the parent.
function M.body(channel, scenarios, settings)
  local job, stopped
  io.stdout:setvbuf "line" -- what is printed stays in its order beside what goes to stderr
  core.open()
  channel:on(function(message)
    if message == nil then
      stopped = stopped or "mqrig has ended"
    elseif message:sub(1, 4) == "stop" then
      stopped = stopped or message:sub(6)
    else
      job = dkjson.decode(message)
    end
  end)
  while not stopped do
    if job then
      local now = job
      job = nil
      local result = run(scenarios[now.scenario], now, settings, {
        stop = function()
          return stopped
        end,
        closing = function()
          channel:send "closing"
        end,
        again = function()
          channel:send "again"
        end,
        progress = function(line)
          channel:send("progress " .. line)
        end,
      })
      io.stdout:flush()
      io.stderr:flush()
      channel:send(dkjson.encode(M.portable(result)))
      collectgarbage()
    else
      core.turn()
    end
  end
  channel:close()
  core.close()
  return 0
end

return M
