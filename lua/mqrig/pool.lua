-- pool: the parent's side of the workers: starts them, hands out jobs, watches that each ends in time, and gives every
-- job exactly one result, whatever becomes of the worker.

local core = require "mqrig.core"
local dkjson = require "dkjson"
local worker = require "mqrig.worker"

local M = {}
local Pool = {}
Pool.__index = Pool

M.GRACE_NS = 2000000000 -- beyond a scenario's timeout, for its clean-up
M.STOP_GRACE_NS = 5000000000 -- for workers that are told to stop
M.DEATHS_MAX = 3 -- workers that die without a job in hand, one after the other
M.OUTPUT_MAX = 65536 -- bytes of a scenario's output that are kept

--- handlers: next() -> job or nil ({ scenario = its index, timeout_s =, ... }); result(job, result); trouble(sentence).
function M.new(scenarios, settings, handlers)
  return setmetatable({
    scenarios = scenarios, settings = settings, handlers = handlers, members = {}, deaths = 0, gone = {},
  }, Pool)
end

local function take_output(member, bytes)
  local kept = member.output
  if #kept < M.OUTPUT_MAX then
    member.output = (kept .. bytes):sub(1, M.OUTPUT_MAX)
  end
end

-- What the scenario printed, as lines of its log.
local function output_lines(member)
  local lines = {}
  for line in member.output:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  member.output = ""
  return lines
end

local function finish(self, member, result)
  local job = member.job
  member.job, member.due_ns = nil, nil
  local logs = result.logs or {}
  local printed = output_lines(member)
  table.move(printed, 1, #printed, #logs + 1, logs)
  result.logs = logs
  self.handlers.result(job, result)
end

local function failed(message, member, more)
  local result = { verdict = "failed", duration_ns = core.now() - member.began_ns, logs = {} }
  result.failure = { message = message }
  for key, value in pairs(more or {}) do
    result[key] = value
  end
  return result
end

local function hand_out(self, member)
  local job = not self.stopping and self.handlers.next()
  if not job then
    member.worker:send "stop"
    member.retired = true
    return
  end
  member.job, member.began_ns, member.output = job, core.now(), ""
  member.due_ns = member.began_ns + math.floor(job.timeout_s * 1e9) + M.GRACE_NS
  member.worker:send(dkjson.encode(job))
end

local function describe_end(status, signal)
  if signal then
    return ("was killed by signal %s"):format(tostring(signal))
  end
  return ("ended with status %s"):format(tostring(status))
end

local function on_exit(self, member, status, signal)
  self.members[member] = nil
  table.insert(self.gone, member.worker)
  if not member.job then
    self.deaths = member.retired and 0 or self.deaths + 1
  elseif member.killed then
    finish(self, member, failed(member.killed, member, { interrupted = member.interrupted }))
  else
    local message = ("the worker process that ran it %s"):format(describe_end(status, signal))
    finish(self, member, failed(message, member, { internal = not self.stopping }))
  end
  if self.deaths >= M.DEATHS_MAX then
    self.handlers.trouble("workers end before they run anything: the last one " .. describe_end(status, signal))
  elseif not self.stopping and not member.retired then
    self:start_one()
  end
end

function Pool:start_one()
  local member = { output = "", began_ns = core.now() }
  self.members[member] = true
  local scenarios, settings = self.scenarios, self.settings
  member.worker = core.fork(function(channel)
    return worker.body(channel, scenarios, settings)
  end, {
    message = function(message)
      self.deaths = 0
      if member.job then
        finish(self, member, dkjson.decode(message) or failed("the worker sent nonsense", member, { internal = true }))
        hand_out(self, member)
      end
    end,
    output = function(_, bytes)
      take_output(member, bytes)
    end,
    exited = function(status, signal)
      on_exit(self, member, status, signal)
    end,
  })
  hand_out(self, member)
end

function Pool:start(count)
  for _ = 1, count do
    self:start_one()
  end
end

function Pool:is_done()
  return next(self.members) == nil
end

--- How many have a job in hand.
function Pool:busy()
  local count = 0
  for member in pairs(self.members) do
    count = count + (member.job and 1 or 0)
  end
  return count
end

local function kill(member, sentence)
  member.killed = member.killed or sentence
  member.due_ns = nil
  member.worker:signal "KILL"
end

--- Closes the workers that have ended. Not from inside their handlers.
function Pool:reap()
  for i, worker_ in ipairs(self.gone) do
    worker_:close()
    self.gone[i] = nil
  end
end

--- Kills who is overdue. Returns when the next one will be, or nil.
function Pool:check(now_ns)
  local due_ns
  self:reap()
  for member in pairs(self.members) do
    if member.due_ns and member.due_ns <= now_ns then
      kill(member, ("it never yielded: nothing came within its timeout of %g s and %g s more, its process was killed")
        :format(member.job and member.job.timeout_s or 0, M.GRACE_NS / 1e9))
    elseif member.due_ns then
      due_ns = math.min(due_ns or member.due_ns, member.due_ns)
    end
  end
  if self.stop_due_ns and self.stop_due_ns <= now_ns then
    self.stop_due_ns = nil
    self:kill(self.stop_sentence)
  end
  return self.stop_due_ns and math.min(due_ns or self.stop_due_ns, self.stop_due_ns) or due_ns
end

--- Tells all to end what they run, clean up, and go; who does not is killed after a grace. `interrupted` marks results.
function Pool:stop(sentence, interrupted)
  self.stopping, self.stop_sentence = true, sentence
  self.stop_due_ns = core.now() + M.STOP_GRACE_NS
  for member in pairs(self.members) do
    member.interrupted = interrupted
    member.worker:send("stop " .. sentence)
  end
end

--- Ends all at once.
function Pool:kill(sentence)
  self.stopping = true
  for member in pairs(self.members) do
    kill(member, sentence)
  end
end

return M
