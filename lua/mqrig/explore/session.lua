-- session: one call of `mqrig explore` or `mqrig replay`, from paths to exit status.

local case_ = require "mqrig.explore.case"
local core = require "mqrig.core"
local coverage = require "mqrig.explore.coverage"
local draw = require "mqrig.explore.draw"
local environment = require "mqrig.environment"
local explorer = require "mqrig.explore.explorer"
local network = require "mqrig.explore.network"
local pool = require "mqrig.pool"
local progress = require "mqrig.progress"
local replayfile = require "mqrig.explore.replayfile"
local report = require "mqrig.report"
local runner = require "mqrig.runner"
local sandbox = require "mqrig.sandbox"
local settings_ = require "mqrig.settings"
local workload = require "mqrig.explore.workload"

local M = {}

M.EMPTY_SHOWN = 8 -- of the cells that were never hit

local function show_coverage(self, settings)
  local cells = coverage.all(settings.exhaustive or draw.ENDINGS, draw.PACKETS)
  local hit, empty = self.covered:report(cells)
  io.write(("covered %d of %d cells (fault, direction, packet, in flight or idle)"):format(hit, #cells))
  for i, cell in ipairs(empty) do
    if i <= M.EMPTY_SHOWN or settings.verbose then
      io.write(i == 1 and "; never: " or "; ", cell)
    end
  end
  local more = #empty - M.EMPTY_SHOWN
  io.write(more > 0 and not settings.verbose and ("; and %d more (-v names them)\n"):format(more) or "\n")
end

local function show_end(self, settings)
  if not settings.quiet and self.covered.count > 0 then
    show_coverage(self, settings)
  end
  local rate = self.done / math.max(1e-9, self.seconds)
  io.write(("%d runs in %.1f s, %.0f a second\n"):format(self.done, self.seconds, rate))
  io.write(("%d passed, %d failed, %d skipped\n"):format(self.done - self.failed - self.skipped, self.failed,
    self.skipped))
end

local function execute(settings, work)
  local reports, sentence = report.open(settings)
  if not reports then
    runner.complain(sentence)
    return runner.ENVIRONMENT
  end
  progress.begin(settings)
  local self = explorer.new(settings, work, reports)
  io.write(("mqrig %s, explore %s, seed %d, network %s, jobs %d%s\n"):format(core.version, work.title, settings.seed,
    settings.net, settings.jobs, settings.defect and ", defect " .. settings.defect or ""))
  io.flush()
  local status = self:run()
  progress.clear()
  show_end(self, settings)
  return status
end

local function in_world(settings, fn)
  if settings.net == "sim" then
    sandbox.install()
  end
  core.defect(settings.defect or "none")
  local sentence = environment.open()
  if sentence then
    runner.complain(sentence)
    return runner.ENVIRONMENT
  end
  local status = fn()
  core.on_signal(nil)
  core.close()
  return status
end

-- What scenarios do without a fault, by `jobs` workers: for each its result, and in it what M.survey of the workload tells.
local function survey(scenarios, settings, with_places)
  local surveyed, results, handed = {}, {}, 0
  for i, scenario in ipairs(scenarios) do
    surveyed[i] = workload.survey(scenario, with_places)
    results[i] = { reason = "it gave no result" }
  end
  local workers = pool.new(surveyed, settings, {
    next = function()
      handed = handed + 1
      local seed = settings.seed
      return handed <= #surveyed and { scenario = handed, seed = seed, run_seed = seed, round = 1,
        timeout_s = explorer.limit_s(settings) } or nil
    end,
    result = function(job, result)
      results[job.scenario] = result
    end,
    progress = function() end,
    trouble = runner.complain,
  })
  workers:start(math.min(settings.jobs, #surveyed))
  while not workers:is_done() do
    core.turn(workers:check(core.now()))
    workers:reap()
  end
  for _, result in ipairs(results) do
    result.survey = result.survey or { clients = {}, span_ms = 0, places = {} }
  end
  return results
end

local function exhaust(settings, selected)
  if #selected ~= 1 then
    runner.complain(("--exhaustive takes one scenario, and %d are selected: write PATH:LINE"):format(#selected))
    return runner.USAGE
  end
  local found = survey(selected, settings, true)[1]
  local places = found.survey.places
  if found.verdict ~= "passed" then
    runner.complain(("%s does not pass without a fault: %s"):format(selected[1].name, found.reason))
    return runner.FAILED
  elseif #places == 0 then
    runner.complain(("%s: it has no client that sends or gets a packet, so there is no place for a fault"):format(
      selected[1].name))
    return runner.NOTHING
  end
  settings.shrink = false
  return execute(settings, workload.exhaustive(selected[1], places, settings.exhaustive, settings))
end

-- Those without a client are left out, and said: a run of them without a fault would look like one with faults.
local function explore_scenarios(settings, selected)
  local scenarios, surveys = {}, {}
  for i, found in ipairs(survey(selected, settings, false)) do
    local scenario = selected[i]
    if #found.survey.clients > 0 or found.verdict == "skipped" then
      scenarios[#scenarios + 1], surveys[#surveys + 1] = scenario, found.survey
    else
      runner.complain(("%s: it has no client for whose link faults could be drawn"):format(scenario.name))
    end
  end
  if #scenarios == 0 then
    return runner.NOTHING
  end
  return execute(settings, workload.scenarios(scenarios, surveys, settings, settings.seeds))
end

local function select_scenarios(arguments, settings)
  local collected, sentence, status = runner.collect(arguments, settings)
  if not collected then
    runner.complain(sentence)
    return nil, status
  end
  for _, problem in ipairs(collected.errors) do
    runner.complain_about_file(problem)
  end
  if #collected.errors > 0 then
    return nil, runner.NOT_LOADED
  elseif #collected.selected == 0 then
    runner.complain("nothing selected: " .. collected.nothing)
    return nil, runner.NOTHING
  end
  return collected.selected
end

--- The whole of `mqrig explore`. Returns the exit status.
function M.run(arguments, settings)
  if #arguments == 0 then
    return in_world(settings, function()
      return execute(settings, workload.campaign(settings, settings.seeds))
    end)
  end
  local selected, status = select_scenarios(arguments, settings)
  if not selected then
    return status
  end
  return in_world(settings, function()
    if settings.exhaustive then
      return exhaust(settings, selected)
    end
    return explore_scenarios(settings, selected)
  end)
end

-- The scenario that a replay is of; nil for the campaign. False and the exit status where it is not there.
local function scenario_of(replay, settings)
  if replay.script == workload.CAMPAIGN then
    return nil
  end
  local place = replay.script:match "^(.*) %x+$" or replay.script
  local selected, status = select_scenarios({ place }, settings)
  if not selected then
    return false, status
  end
  return selected[1]
end

-- What the file says of how it was run, where the command line does not say it. A sentence where that cannot be.
local function apply(replay, settings)
  local given = settings.given
  settings.seed, settings.shrink = replay.seed, false
  settings.net = given.net and settings.net or replay.net or settings.net
  settings.broker = given.broker and settings.broker or replay.broker or settings.broker
  settings.defect = settings.defect or replay.defect
  settings.timeout = given.timeout and settings.timeout or replay.timeout or settings.timeout
  settings.param = given.param and settings.param or replay.param
  return settings_.check_simulation(settings)
end

-- Faults that a real network cannot be told to have: each is said, and the rest runs.
local function leave_out_virtual(case, path)
  for i = #case.faults, 1, -1 do
    local fault = case.faults[i]
    if network.is_virtual(fault.verb) then
      runner.complain(("%s: skipped on a real network: fault %s"):format(path, case_.fault_text(fault)))
      table.remove(case.faults, i)
    end
  end
end

--- The whole of `mqrig replay`.
function M.replay(path, settings)
  local replay, sentence = replayfile.read(path)
  if not replay then
    runner.complain(sentence)
    return runner.NOT_LOADED
  end
  local scenario, status = scenario_of(replay, settings)
  if scenario == false then
    return status
  end
  sentence = replayfile.differs(replay, scenario and workload.script_of(scenario))
  if sentence then
    runner.complain(("%s: %s%s"):format(path, sentence, settings.anyway and "" or " (--anyway runs it)"))
    if not settings.anyway then
      return runner.USAGE
    end
  end
  sentence = apply(replay, settings)
  if sentence then
    runner.complain(("%s: %s"):format(path, sentence))
    return runner.USAGE
  end
  if settings.net == "real" then
    leave_out_virtual(replay.case, path)
  end
  return in_world(settings, function()
    return execute(settings, workload.replay(replay, scenario, path))
  end)
end

return M
