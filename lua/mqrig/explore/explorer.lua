-- explorer: many runs of one workload, each with a seed and a case of its own, by the same worker processes that run
-- scenarios. The first failure ends it (or, with keep_going, none does); it is shrunk, reported, and written to files.

local case_ = require "mqrig.explore.case"
local core = require "mqrig.core"
local coverage = require "mqrig.explore.coverage"
local paths = require "mqrig.paths"
local pool = require "mqrig.pool"
local progress = require "mqrig.progress"
local replayfile = require "mqrig.explore.replayfile"
local runner = require "mqrig.runner"
local shrink = require "mqrig.explore.shrink"
local text = require "mqrig.text"
local worker = require "mqrig.worker"
local write = require "mqrig.explore.write"

local M = {}

M.SHRINK_S = 60         -- at most, for one failure
M.FAILURES_MAX = 100    -- that are shrunk and written, with keep_going
M.PROGRESS_NS = 200000000

local Explorer = {}
Explorer.__index = Explorer

-- What fails in the same way has the same of this: the invariant, or the sentence without its numbers.
function M.kind_of(failure)
  local message = failure and failure.message or ""
  return message:match "^(inv%-%d+)" or text.lines(message)[1]:gsub("%d+", "0")
end

--- How long a run may take on this machine.
function M.limit_s(settings)
  return settings.net == "sim" and settings.real_timeout or settings.timeout
end

--- `workload`: { scenarios=, job(number) -> { scenario=, seed=, case= } or nil, script(job), file= that it was read of,
--- and that is not written again }.
function M.new(settings, workload, reports)
  return setmetatable({
    settings = settings, workload = workload, reports = reports, number = 0, done = 0, failed = 0, skipped = 0,
    began_ns = core.now(), covered = coverage.new(), shrinking = {},
  }, Explorer)
end

local function is_over(self)
  local due_ns = self.due_ns
  return self.ended or (self.failed > 0 and not self.settings.keep_going) or (due_ns and core.now() >= due_ns)
end

-- Candidates of a failure that is being shrunk go first, then new seeds.
function Explorer:next_job()
  if self.ended then
    return nil
  end
  for _, s in ipairs(self.shrinking) do
    if s.candidate and not s.running then
      s.running = true
      return { scenario = s.job.scenario, seed = s.job.seed, run_seed = s.job.seed, round = 1, mark = s.job.mark,
        shrinking = s.number, case = case_.lines(s.candidate), timeout_s = s.job.timeout_s }
    end
  end
  if is_over(self) then
    return nil
  end
  self.number = self.number + 1
  local job = self.workload.job(self.number)
  if job then
    job.run_seed, job.round = job.seed, 1
    job.mark = ("seed-%d"):format(job.seed) .. (job.number and "-run-" .. job.number or "")
    job.timeout_s = M.limit_s(self.settings)
  end
  return job
end

local function again_command(self, file)
  local settings = self.settings
  local words = { text.shell(settings.program or "mqrig"), "replay", text.shell(file) }
  if settings.defect then
    words[#words + 1] = "--defect " .. settings.defect
  end
  if self.workload.file and settings.given.net then
    words[#words + 1] = "--net " .. settings.net
  end
  if settings.anyway then
    words[#words + 1] = "--anyway"
  end
  return table.concat(words, " ")
end

local function replay_of(self, job, result, case)
  local settings = self.settings
  return {
    build = replayfile.build(), script = self.workload.script(job), seed = job.seed, net = settings.net,
    broker = settings.given.broker and settings.broker or nil, defect = settings.defect,
    timeout = settings.given.timeout and settings.timeout or nil, param = settings.param,
    failure = text.printable(text.lines(result.failure.message)[1]), case = case,
  }
end

-- What write.files wants to know of a scenario of a file; nil of the campaign.
local function written_of(self, job)
  local scenario, settings = self.workload.scenarios[job.scenario], self.settings
  local source = self.workload.source and self.workload.source(job)
  if not source then
    return nil
  end
  local all, params = worker.merge_params(scenario, settings.param), {}
  for _, pair in ipairs(settings.param) do
    params[pair[1]] = all[pair[1]]
  end
  return { name = scenario.name, source = source, params = params, timeout_s = scenario.timeout_s or settings.timeout }
end

local function write_failure(self, job, result, case, shrunk)
  if self.workload.file then
    result.failure.traceback = nil
    return again_command(self, self.workload.file)
  end
  local name = text.slug(self.workload.name(job), 40) .. "-" .. job.mark
  local stem = paths.join(paths.join(self.settings.out, "explore"), name)
  local files, sentence = write.files(stem, replay_of(self, job, result, case), result.failure.message,
    written_of(self, job))
  if not files then
    self.trouble = sentence
    files = {}
  end
  local failure = result.failure
  failure.files = table.move(files, 1, #files, #(failure.files or {}) + 1, failure.files or {})
  failure.traceback = nil -- it goes through the library only
  if shrunk then
    result.logs = case_.lines(case)
    table.insert(result.logs, ("shrunk from %d lines to %d in %d runs%s"):format(shrunk.lines, #result.logs, shrunk.runs,
      shrunk.cut and ", and no further: less might do" or ""))
  end
  return files[1] and again_command(self, files[1])
end

-- `shrunk`: { lines (before), runs, cut (it ended at its limit) }, or nil.
local function report(self, job, result, case, shrunk)
  local again = write_failure(self, job, result, case, shrunk)
  local scenario = self.workload.scenarios[job.scenario]
  progress.clear()
  self.reports:event("scenario_end", {
    scenario = setmetatable({ name = ("%s, seed %d"):format(scenario.name, job.seed) }, { __index = scenario }),
    round = 1, rounds = 1, number = self.failed, seed = job.seed, result = result, again = again,
  })
end

-- The driver of one failure's shrinking: a coroutine that gives candidates and takes whether they failed.
local function begin_shrinking(self, job, result)
  local s = { number = #self.shrinking + 1, job = job, result = result, kind = M.kind_of(result.failure) }
  s.due_ns = core.now() + M.SHRINK_S * 1000000000
  s.shrunk = { lines = #job.case, runs = 0 }
  s.thread = coroutine.wrap(function()
    local shrunk = s.shrunk
    local case = shrink.run(assert(case_.parse(job.case)), function(candidate)
      if core.now() >= s.due_ns then
        shrunk.cut = true
        return false
      end
      shrunk.runs = shrunk.runs + 1
      s.candidate, s.running = candidate, false
      return coroutine.yield()
    end)
    s.candidate, s.over = nil, true
    shrunk.cut = shrunk.cut or shrunk.runs >= shrink.RUNS_MAX
    report(self, job, s.result, case, shrunk)
  end)
  self.shrinking[s.number] = s
  s.thread()
end

--- Reports what is not shrunk to its end, as far as it is: the run has been ended.
function Explorer:report_unfinished()
  for _, s in ipairs(self.shrinking) do
    if not s.over then
      s.candidate, s.over, s.shrunk.cut = nil, true, true
      report(self, s.job, s.result, assert(case_.parse(s.job.case)), s.shrunk)
    end
  end
end

local function take_candidate(self, job, result)
  local s = self.shrinking[job.shrinking]
  s.candidate = nil
  local same = result.verdict == "failed" and M.kind_of(result.failure) == s.kind
  if same then
    s.result = result
    s.job.case = job.case
  end
  if not s.over then
    s.thread(same)
  end
end

local function show_progress(self)
  local now_ns = core.now()
  if not self.shown_ns or now_ns > self.shown_ns + M.PROGRESS_NS then
    self.shown_ns = now_ns
    local rate = self.done / math.max(1e-9, (now_ns - self.began_ns) / 1e9)
    progress.show(self.done, self.workload.total, self.failed)
    progress.note(("%.0f seeds/s"):format(rate))
  end
end

function Explorer:take_result(job, result)
  if result.interrupted and self.ended then
    return
  elseif job.shrinking then
    return take_candidate(self, job, result)
  end
  self.done = self.done + 1
  self.covered:add(result.coverage)
  if result.verdict == "skipped" then
    self.skipped = self.skipped + 1
  elseif result.verdict == "failed" then
    self.failed = self.failed + 1
    job.case = result.case or job.case
    if job.case and self.settings.shrink and self.failed <= M.FAILURES_MAX then
      begin_shrinking(self, job, result)
    else
      report(self, job, result, assert(case_.parse(job.case or {})))
    end
  end
  show_progress(self)
end

local function make_pool(self)
  return pool.new(self.workload.scenarios, self.settings, {
    next = function()
      return self:next_job()
    end,
    result = function(job, result)
      self:take_result(job, result)
    end,
    progress = function() end,
    trouble = function(sentence)
      runner.complain(sentence)
      self.ended = self.ended or "trouble"
    end,
  })
end

local function loop(self)
  core.on_signal(function()
    if self.ended then
      self.pool:kill("interrupted", true)
    else
      self.ended = "interrupted"
      self.pool:stop("interrupted", true)
    end
  end)
  self.pool:start(self.settings.jobs)
  while not self.pool:is_done() do
    core.turn(self.pool:check(core.now()))
    self.pool:reap()
    -- Workers that had nothing left to do are gone while a failure is being shrunk.
    if self.pool:is_done() and not self.ended and self.shrinking[1] and not self.shrinking[#self.shrinking].over then
      self.pool:start_one()
    end
  end
end

--- Runs all; returns the exit status.
function Explorer:run()
  self.began_ns = core.now()
  self.due_ns = self.settings.for_s and self.began_ns + math.floor(self.settings.for_s * 1e9)
  self.pool = make_pool(self)
  loop(self)
  self:report_unfinished()
  self.seconds = (core.now() - self.began_ns) / 1e9
  if self.trouble then
    runner.complain(self.trouble)
  end
  if self.ended == "interrupted" then
    return runner.INTERRUPTED
  elseif self.ended then
    return runner.INTERNAL
  elseif self.trouble then
    return runner.ENVIRONMENT
  end
  return self.failed > 0 and runner.FAILED or runner.PASSED
end

return M
