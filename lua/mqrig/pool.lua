-- pool: the parent's side of the workers: starts them, hands out jobs, watches that each ends in time, and gives every
-- job exactly one result, whatever becomes of the worker.

local core = require "mqrig.core"
local dkjson = require "dkjson"
local log = require "mqrig.log"
local paths = require "mqrig.paths"
local worker = require "mqrig.worker"

local M = {}
local Pool = {}
Pool.__index = Pool

M.GRACE_NS = 2000000000 -- beyond a scenario's timeout, to be stopped where it stands
M.CLOSE_GRACE_NS = 20000000000 -- for closing what it made
M.AGAIN_S = 30 -- beyond the real timeout, for a second run in a process of its own
M.STOP_GRACE_NS = 5000000000 -- for workers that are told to stop
M.DEATHS_MAX = 3 -- workers that die without a job in hand, one after the other
M.OUTPUT_MAX = 65536 -- bytes of a scenario's output that are kept, the newest
M.LOOK_NS = 250000000 -- between looks at the memory of the workers
M.MEMORY_SLACK = 320 << 20 -- beyond --memory, for what is not the scenario's own: buffers, timeline

--- handlers: next() -> job or nil ({ scenario = its index, timeout_s =, ... }); result(job, result); trouble(sentence
--- [, "environment"]).
function M.new(scenarios, settings, handlers)
  return setmetatable({
    scenarios = scenarios, settings = settings, handlers = handlers, members = {}, deaths = 0, gone = {},
  }, Pool)
end

-- What the scenario printed, as lines of its log.
local function output_lines(member)
  local lines = {}
  for line in member.output:text():gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  member.output = log.new "output"
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

local function late(member)
  if member.closing then
    return ("it did not end: closing what it had made took more than %g s, its process was killed"):format(
      M.CLOSE_GRACE_NS / 1e9)
  end
  return ("it never yields: nothing came within its timeout of %g s and %g s more, and it could not be stopped where "
    .. "it stood (a string pattern without end, os.execute, io.read?), its process was killed"):format(
    member.job and member.job.timeout_s or 0, M.GRACE_NS / 1e9)
end

local function hand_out(self, member)
  local job = not self.stopping and self.handlers.next()
  if not job then
    member.worker:send "stop"
    member.retired = true
    return
  end
  member.job, member.began_ns, member.output = job, core.now(), log.new "output"
  member.memory_before, member.closing = nil, nil
  member.due_ns = member.began_ns + math.floor(job.timeout_s * 1e9) + M.GRACE_NS
  member.worker:send(dkjson.encode(job))
end

local function describe_end(status, signal)
  if signal then
    return ("was killed by signal %s"):format(tostring(signal))
  end
  return ("ended with status %s"):format(tostring(status))
end

-- Folders of workers that were killed; "mqrig-", the number of their process, "-" and more is their name.
local function remove_temporary()
  local root = os.getenv "TMPDIR" or ""
  root = root ~= "" and root or "/tmp"
  for _, entry in ipairs(core.directory(root) or {}) do
    local pid = entry.is_directory and entry.name:match "^mqrig%-(%d+)%-%w+$"
    if pid and not paths.exists("/proc/" .. pid) then
      core.remove_tree(root .. "/" .. entry.name)
    end
  end
end

local function on_exit(self, member, status, signal)
  self.members[member] = nil
  table.insert(self.gone, member.worker)
  if not member.job then
    self.deaths = member.retired and 0 or self.deaths + 1
  elseif member.killed then
    self.rubbish = true
    finish(self, member, failed(member.killed, member, { interrupted = member.interrupted }))
  elseif self.stopping and status == 0 then -- it was told to go before it had begun
    finish(self, member, failed(self.stop_sentence, member, { interrupted = member.interrupted }))
  else
    local message = ("the worker process that ran it %s"):format(describe_end(status, signal))
    self.rubbish = true
    finish(self, member, failed(message, member, { internal = not self.stopping }))
  end
  if self.deaths >= M.DEATHS_MAX then
    self.handlers.trouble("workers end before they run anything: the last one " .. describe_end(status, signal))
  elseif not self.stopping and not member.retired then
    self:start_one()
  end
end

function Pool:start_one()
  local member = { output = log.new "output", began_ns = core.now() }
  local scenarios, settings = self.scenarios, self.settings
  local ok, made = pcall(core.fork, function(channel)
    return worker.body(channel, scenarios, settings)
  end, {
    message = function(message)
      self.deaths = 0
      if message == "closing" then
        member.due_ns = member.job and core.now() + M.CLOSE_GRACE_NS
        member.closing = true
      elseif message == "again" then
        member.due_ns = member.job and core.now() + math.floor((settings.real_timeout + M.AGAIN_S) * 1e9)
        member.closing = nil
      elseif message:sub(1, 9) == "progress " then
        self.handlers.progress(message:sub(10))
      elseif member.job then
        member.worker:take_output()
        finish(self, member, dkjson.decode(message) or failed("the worker sent nonsense", member, { internal = true }))
        hand_out(self, member)
      end
    end,
    output = function(_, bytes)
      member.output:add(bytes)
    end,
    exited = function(status, signal)
      on_exit(self, member, status, signal)
    end,
  })
  if not ok then
    self.handlers.trouble("a worker cannot be started: " .. tostring(made):gsub("^[^ ]+:%d+: ", ""), "environment")
    return false
  end
  member.worker = made
  self.members[member] = true
  hand_out(self, member)
  return true
end

function Pool:start(count)
  for _ = 1, count do
    if not self:start_one() then
      return
    end
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

-- Bytes in memory of a worker, or nil.
local function resident(member)
  local file = io.open(("/proc/%d/statm"):format(member.worker:pid()))
  local pages = file and file:read "a":match "^%d+ (%d+)"
  if file then
    file:close()
  end
  return pages and tonumber(pages) * 4096
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
  if self.rubbish then
    self.rubbish = nil
    remove_temporary()
  end
end

-- What a scenario holds outside Lua's own heap, in buffers for instance, is seen from here only.
local function check_memory(self, now_ns)
  local most = self.settings.memory
  if most == 0 or (self.looked_ns and now_ns < self.looked_ns + M.LOOK_NS) then
    return
  end
  self.looked_ns = now_ns
  for member in pairs(self.members) do
    local bytes = member.job and not member.killed and resident(member)
    if bytes then
      member.memory_before = member.memory_before or bytes
      if bytes - member.memory_before > most + M.MEMORY_SLACK then
        kill(member, ("not enough memory: it took %d MiB more than its %d MiB (--memory) in messages and buffers, its "
          .. "process was killed"):format((bytes - member.memory_before - most) >> 20, most >> 20))
      end
    end
  end
end

--- Kills who is overdue, or takes too much. Returns when to look again, or nil.
function Pool:check(now_ns)
  local due_ns = self.settings.memory > 0 and self:busy() > 0 and now_ns + M.LOOK_NS or nil
  self:reap()
  check_memory(self, now_ns)
  for member in pairs(self.members) do
    if member.due_ns and member.due_ns <= now_ns then
      kill(member, late(member))
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
function Pool:kill(sentence, interrupted)
  self.stopping = true
  for member in pairs(self.members) do
    member.interrupted = interrupted or member.interrupted
    kill(member, sentence)
  end
end

return M
