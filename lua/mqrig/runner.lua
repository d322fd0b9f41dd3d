-- runner: one run from paths to exit status. Loads the files, selects, checks the surroundings, has the workers run
-- what was selected, feeds the reports.
--
-- Of several reasons to fail the exit status names the first of: 130 interrupted, 124 run timeout, 70 internal error,
-- 5 environment (also a report that could not be written), 3 a file did not load, 1 a scenario failed, 4 nothing
-- selected.

local core = require "mqrig.core"
local environment = require "mqrig.environment"
local lastfailed = require "mqrig.lastfailed"
local load_ = require "mqrig.load"
local near = require "mqrig.near"
local paths = require "mqrig.paths"
local pool = require "mqrig.pool"
local progress = require "mqrig.progress"
local report = require "mqrig.report"
local rerun = require "mqrig.rerun"
local sandbox = require "mqrig.sandbox"
local select_ = require "mqrig.select"
local show = require "mqrig.show"
local text = require "mqrig.text"

local M = {}

M.PASSED, M.FAILED, M.USAGE, M.NOT_LOADED, M.NOTHING, M.ENVIRONMENT = 0, 1, 2, 3, 4, 5
M.INTERNAL, M.TIMEOUT, M.INTERRUPTED = 70, 124, 130

M.FAILURES_KEPT = 100 -- for the list at the end

local function complain(sentence)
  progress.clear()
  io.stderr:write("mqrig: ", sentence, "\n")
end

M.complain = complain

function M.complain_about_file(problem)
  complain(("%s did not load: %s"):format(problem.line and ("%s:%d"):format(problem.file, problem.line) or problem.file,
    problem.message))
end

--- A seed for who gives none: short enough to be typed.
function M.new_seed()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file and file:read(4)
  if file then
    file:close()
  end
  return bytes and string.unpack("<I4", bytes) or core.now() & 0xffffffff
end

-- The seed of one scenario: its own, or of its name and its file's, so that neither order nor --jobs nor the directory
-- changes it.
local function seed_of(scenario, run_seed)
  if scenario.seed then
    return scenario.seed
  end
  return text.hash(paths.base(scenario.file) .. "\n" .. scenario.name, run_seed) & math.maxinteger
end

local Run = {}
Run.__index = Run

local function new_run(settings, selected, errors)
  return setmetatable({
    settings = settings, selected = selected, errors = errors, round = 1, position = 0, number = 0, started = 0,
    passed = 0, failed = 0, skipped = 0, failures = {}, verdicts = {}, troubles = {}, virtual_ns = 0,
    rounds = settings.until_fail and not settings.given["repeat"] and math.huge or settings["repeat"],
  }, Run)
end

function Run:emit(name, data)
  progress.clear()
  self.reports:event(name, data)
end

function Run:total()
  return self.rounds ~= math.huge and not self.settings.until_fail and #self.selected * self.rounds or nil
end

local function count_verdict(self, job, result)
  local scenario = self.selected[job.scenario]
  local name = select_.full_name(scenario)
  if result.verdict == "failed" then
    self.failed = self.failed + 1
    self.verdicts[name] = true
    if #self.failures < M.FAILURES_KEPT then
      table.insert(self.failures, { scenario = scenario, round = self.rounds ~= 1 and job.round or nil })
    end
    if self.settings.fail_fast or self.settings.until_fail then
      self.enough = true
    end
  elseif result.verdict == "skipped" then
    self.skipped = self.skipped + 1
  else
    self.passed = self.passed + 1
    self.verdicts[name] = self.verdicts[name] or false
  end
end

-- The results of those that Ctrl-C ended are not failures of theirs.
local function judge(self, result)
  if result.verdict == "failed" and result.interrupted and self.ended == "interrupted" then
    return { verdict = "skipped", reason = "interrupted", duration_ns = result.duration_ns, logs = result.logs }
  end
  return result
end

function Run:take_result(job, given)
  local result = judge(self, given)
  local scenario = self.selected[job.scenario]
  self.number = self.number + 1
  self.virtual_ns = self.virtual_ns + (result.duration_ns or 0)
  count_verdict(self, job, result)
  self.internal = self.internal or (result.verdict == "failed" and result.internal)
  self.environment = self.environment or (result.failure and result.failure.environment)
  if result.trouble then
    complain(result.trouble)
    self.troubles[#self.troubles + 1] = result.trouble
  end
  self:emit("scenario_end", {
    scenario = scenario, round = job.round, rounds = self.rounds, number = self.number, seed = job.run_seed,
    result = result,
    again = result.verdict == "failed" and rerun.command(scenario, self.settings, job.run_seed, self.scenarios) or nil,
  })
  progress.show(self.number, self:total(), self.failed)
end

-- The next job, round after round; those that cannot run here are reported as skipped on the way.
function Run:next_job()
  while not self.enough and not self.ended do
    self.position = self.position + 1
    if self.position > #self.selected then
      if self.round >= self.rounds then
        self.enough = true
        return nil
      end
      self.round, self.position = self.round + 1, 1
    end
    self.started = self.started + 1
    local scenario = self.selected[self.position]
    local run_seed = (self.settings.seed + self.round - 1) & math.maxinteger
    local again = self.settings["repeat"] > 1 or self.settings.until_fail
    local job = {
      scenario = self.position, round = self.round, mark = again and "run-" .. self.round or nil,
      run_seed = run_seed, seed = seed_of(scenario, run_seed),
      timeout_s = self.settings.net == "sim" and self.settings.real_timeout or scenario.timeout_s
        or self.settings.timeout,
    }
    self:emit("scenario_begin", { scenario = scenario, round = self.round })
    local reason = environment.lacks(scenario, self.settings)
    if not reason then
      return job
    end
    self:take_result(job, { verdict = "skipped", reason = reason, duration_ns = 0, logs = {} })
    if self.settings.until_fail and self.passed == 0 and self.position == #self.selected then
      self.enough = true -- none can run here: there is nothing to wait for
    end
  end
end

local function on_signal(self)
  self.signals = (self.signals or 0) + 1
  if self.signals == 1 then
    self.ended = self.ended or "interrupted"
    complain "interrupted: the scenarios that run are being ended (once more: at once)"
    self.pool:stop("interrupted", true)
  elseif not self.at_once then
    self.at_once = true
    self.pool:kill("interrupted", true)
  end
end

local function on_run_timeout(self)
  self.ended = "timeout"
  self.due_ns = nil
  complain(("the run's time of %g s is up (--run-timeout): the scenarios that run are being ended"):format(
    self.settings.run_timeout))
  self.pool:stop("the run's time was up (--run-timeout)", false)
end

-- Turns the loop until every worker is gone.
function Run:loop()
  local settings = self.settings
  self.due_ns = settings.run_timeout and core.now() + math.floor(settings.run_timeout * 1e9)
  core.on_signal(function()
    on_signal(self)
  end)
  self.pool:start(math.min(settings.jobs, math.max(1, self:total() or settings.jobs)))
  while not self.pool:is_done() and not self.broken do
    local now_ns = core.now()
    if self.due_ns and self.due_ns <= now_ns and not self.ended then
      on_run_timeout(self)
    end
    local due_ns = self.pool:check(now_ns)
    if self.due_ns and not self.ended then
      due_ns = math.min(due_ns or self.due_ns, self.due_ns)
    end
    core.turn(due_ns)
  end
  self.pool:reap()
end

local function make_pool(self)
  return pool.new(self.selected, self.settings, {
    next = function()
      return self:next_job()
    end,
    result = function(job, result)
      self:take_result(job, result)
    end,
    progress = progress.note,
    trouble = function(sentence, kind)
      complain(sentence)
      if kind == "environment" then
        self.troubles[#self.troubles + 1] = sentence
        self.enough = true
      else
        self.broken = true
      end
    end,
  })
end

function Run:status()
  if self.ended == "interrupted" then
    return M.INTERRUPTED
  elseif self.ended == "timeout" then
    return M.TIMEOUT
  elseif self.internal or self.broken then
    return M.INTERNAL
  elseif self.environment or #self.troubles > 0 then
    return M.ENVIRONMENT
  elseif #self.errors > 0 then
    return M.NOT_LOADED
  end
  return self.failed > 0 and M.FAILED or M.PASSED
end

local function begin(self)
  local s = self.settings
  local total = self:total()
  local over = s.transport == "tcp" and "" or " over " .. s.transport
  self:emit("run_begin", {
    version = core.version, seed = s.seed, broker = show.url(s.broker) .. over, net = s.net, mqtt = s.mqtt, jobs = s.jobs,
    total = total and total + #self.errors, wall_clock_s = s.net == "sim" and core.sim.epoch_s or core.wall_clock(),
  })
  for _, problem in ipairs(self.errors) do
    self:emit("file_error", problem)
  end
end

local function finish(self, began_ns)
  local total = self:total() or self.started
  local virtual = self.settings.net == "sim" -- then no report tells how fast this machine is
  self:emit("run_end", {
    passed = self.passed, failed = self.failed, skipped = self.skipped, file_errors = #self.errors,
    not_run = math.max(0, total - self.number), ended = self.ended,
    duration_ns = virtual and self.virtual_ns or core.now() - began_ns,
    failures = self.failures,
  })
  for _, sentence in ipairs(self.reports:close()) do
    complain(sentence)
    self.troubles[#self.troubles + 1] = sentence
  end
  self.troubles[#self.troubles + 1] = lastfailed.write(self.settings, self.verdicts)
end

-- Runs what was selected, in an open world.
local function execute(self)
  local began_ns = core.now()
  begin(self)
  self.pool = make_pool(self)
  if #self.selected > 0 then
    self:loop()
  end
  finish(self, began_ns)
  return self:status()
end

--- Loads and selects: { scenarios=, selected=, errors= } or nil, a sentence and the exit status.
function M.collect(arguments, settings)
  local given = #arguments > 0
  if not given and not paths.is_directory "scenarios" then
    return nil, "there is no directory scenarios/ here: name files or directories to run", M.NOTHING
  end
  if settings.net == "sim" then
    sandbox.install()
  end
  local entries, sentence = paths.expand(given and arguments or { "scenarios" })
  if not entries then
    return nil, sentence, M.USAGE
  end
  local scenarios, errors = load_.files(entries, settings.memory, settings.timeout)
  local last = settings.last_failed and lastfailed.read(settings) or nil
  local selected = select_.select(scenarios, entries, settings, last)
  if #selected == 0 then
    if last and next(last) == nil then
      sentence = "no scenario failed in the last run"
    else
      sentence = select_.explain_nothing(scenarios, entries, settings, last)
    end
  end
  return { scenarios = scenarios, selected = selected, errors = errors, nothing = sentence }
end

-- What to return when nothing was selected.
local function nothing(collected, settings)
  complain("nothing selected: " .. collected.nothing)
  return settings.no_tests == "pass" and M.PASSED or M.NOTHING
end

-- A parameter that no selected scenario has, but one much like it: a sentence. Scenarios may have undeclared ones.
local function mistyped_param(selected, settings)
  local known = {}
  for _, scenario in ipairs(selected) do
    for key in pairs(scenario.params) do
      known[key] = true
    end
  end
  for _, pair in ipairs(settings.param) do
    local hint = not known[pair[1]] and near.suggest(pair[1], near.keys(known))
    if hint then
      return ('--param %s: no scenario that was selected has a parameter "%s", %s'):format(pair[1], pair[1], hint)
    end
  end
end

--- The whole of `mqrig run`. Returns the exit status.
function M.run(arguments, settings)
  settings.seed = settings.seed or M.new_seed()
  core.defect(settings.defect or "none")
  local collected, sentence, status = M.collect(arguments, settings)
  if not collected then
    complain(sentence)
    return status == M.NOTHING and settings.no_tests == "pass" and M.PASSED or status
  end
  local self = new_run(settings, collected.selected, collected.errors)
  self.scenarios = collected.scenarios
  if #self.selected == 0 and #self.errors == 0 then
    io.stderr:write(("mqrig: seed %d\n"):format(settings.seed))
    return nothing(collected, settings)
  end
  sentence = mistyped_param(self.selected, settings)
  if sentence then
    complain(sentence)
    return M.USAGE
  end
  sentence = environment.open()
  if sentence then
    complain(sentence)
    return M.ENVIRONMENT
  end
  sentence = environment.check(settings)
  if not sentence then
    self.reports, sentence = report.open(settings)
  end
  if sentence then
    complain(sentence)
    status = M.ENVIRONMENT
  else
    progress.begin(settings)
    status = execute(self)
    progress.clear()
  end
  core.on_signal(nil)
  core.close()
  return status
end

return M
