-- workload: what an exploration runs: the standard campaign, drawn from the seed; or scenarios of files, with faults drawn
-- for their clients' links; or one fault at each place of a scenario in turn.
--
-- A workload is { scenarios, total, job(number) -> { scenario, seed, case (lines) } or nil, name(job), script(job) }. Its
-- scenarios have `begin(job)` and `finish(result)`, which the worker calls around each run.

local campaign = require "mqrig.explore.campaign"
local case_ = require "mqrig.explore.case"
local coverage = require "mqrig.explore.coverage"
local draw = require "mqrig.explore.draw"
local failure = require "mqrig.failure"
local network = require "mqrig.explore.network"
local replayfile = require "mqrig.explore.replayfile"
local select_ = require "mqrig.select"

local M = {}

M.CAMPAIGN = "campaign"

-- A scenario that runs `body(t, case)` and tells what was hit. `draw_case(seed)` where a job has no case.
local function runs_cases(scenario, draw_case, body)
  function scenario.begin(self, job)
    self.case = job.case and assert(case_.parse(job.case)) or draw_case(job.seed)
    self.hits = nil
  end
  function scenario.fn(t)
    local _ <close> = setmetatable({}, { __close = function()
      scenario.hits = coverage.of(t.timeline)
    end })
    body(t, scenario.case)
  end
  function scenario.finish(self, result)
    result.coverage = self.hits
    result.case = result.verdict == "failed" and case_.lines(self.case) or nil
  end
  return scenario
end

--- The standard campaign, from `settings.seed` up.
function M.campaign(settings, count)
  local scenario = runs_cases({
    name = "the standard campaign", file = M.CAMPAIGN, line = 0, tags = {}, clause = {}, params = {},
  }, draw.case, campaign.run)
  return {
    scenarios = { scenario },
    total = count,
    title = "the standard campaign",
    job = function(number)
      if not count or number <= count then
        return { scenario = 1, seed = (settings.seed + number - 1) & math.maxinteger }
      end
    end,
    name = function()
      return M.CAMPAIGN
    end,
    script = function()
      return M.CAMPAIGN
    end,
  }
end

-- Scenarios of files.

M.SPAN_MS = { 20, 60000 } -- at least and at most, in which faults at a time are drawn for a scenario

-- The faults of a case, for the clients of a scenario as it makes them.
local function put_faults(t, case, span)
  rawset(t, "on_client", function(client)
    for _, fault in ipairs(case.faults) do
      if fault.who == client.name and fault.verb == "rule" then
        client.link:rule(fault.text)
      elseif fault.who == client.name and network.is_standing(fault.verb) then
        network.stand(fault, client, t.broker)
      elseif fault.who == client.name and fault.at then
        span[#span + 1] = t:spawn(campaign.fault_at_its_time, t, fault, client)
      end
    end
  end)
end

-- With faults an expectation may fail, for that is what they are for: invariants and a bound in time are what must hold.
function M.under_faults(original)
  return function(t, case)
    local span = {}
    put_faults(t, case, span)
    t.scheduler.forgiving = #case.faults > 0
    local ok, raised = pcall(original, t)
    t.scheduler.forgiving = nil
    for _, task in ipairs(span) do
      task:cancel()
    end
    if not ok and (#case.faults == 0 or failure.is_skip(raised)) then
      error(raised, 0)
    end
    for _, owed in ipairs(#case.faults > 0 and { t.plays, t.rules, t.builders } or {}) do
      for i = #owed, 1, -1 do
        owed[i] = nil
      end
    end
  end
end

-- `draw_case(seed, i)`: the case of the i-th where a job brings none.
local function copies(scenarios, draw_case)
  local list = {}
  for i, scenario in ipairs(scenarios) do
    list[i] = runs_cases(setmetatable({}, { __index = scenario }), function(seed)
      return draw_case(seed, i)
    end, M.under_faults(scenario.fn))
  end
  return list
end

local function case_of(faults)
  return { clients = {}, steps = {}, faults = faults }
end

local function source_of(scenario)
  local file = io.open(scenario.file, "rb")
  local contents = file and file:read "a" or ""
  if file then
    file:close()
  end
  return contents
end

-- "scenarios/a.lua:12 3f1c9a0b22d1e7c4"
local function script_of(scenario)
  return ("%s:%d %s"):format(scenario.file, scenario.line, replayfile.hash(source_of(scenario)))
end

local function of_files(scenarios, draw_case)
  local work = { scenarios = copies(scenarios, draw_case) }
  function work.name(job)
    return select_.full_name(work.scenarios[job.scenario])
  end
  function work.script(job)
    return script_of(work.scenarios[job.scenario])
  end
  function work.source(job)
    return (source_of(work.scenarios[job.scenario]):gsub("^#[^\n]*", "", 1))
  end
  return work
end

--- Scenarios with faults drawn for their clients' links: each seed runs each. `surveys`: what M.survey told of each.
function M.scenarios(scenarios, surveys, settings, count)
  local work = of_files(scenarios, function(seed, i)
    local clients = surveys[i].clients
    return case_of(#clients > 0 and draw.faults(seed, clients, surveys[i].span_ms) or {})
  end)
  work.total = count and count * #scenarios
  work.title = #scenarios == 1 and select_.full_name(scenarios[1]) or ("%d scenarios"):format(#scenarios)
  function work.job(number)
    local round = (number - 1) // #scenarios
    if not count or round < count then
      return { scenario = (number - 1) % #scenarios + 1, seed = (settings.seed + round) & math.maxinteger }
    end
  end
  return work
end

-- Packets of clients on a timeline: { { who, direction, nth, size }, ... }. `clients`: { name = true }.
local function places_of(timeline, clients)
  local places, counts = {}, {}
  for number = timeline:dropped() + 1, timeline:last() do
    local entry = timeline:entry(number)
    if entry and (entry.kind == "up" or entry.kind == "down") and clients[entry.who] then
      local way = entry.who .. entry.kind
      counts[way] = (counts[way] or 0) + 1
      places[#places + 1] = { entry.who, entry.kind, counts[way], #entry.bytes }
    end
  end
  return places
end

--- A scenario that runs once without a fault, and tells where faults can be put: `survey` of its result is { clients
--- (their names), span_ms, places (where they are asked for) }.
function M.survey(scenario, with_places)
  local surveyed = setmetatable({}, { __index = scenario })
  local names, known, places = {}, {}, nil
  function surveyed.fn(t)
    rawset(t, "on_client", function(client)
      names[#names + 1] = not known[client.name] and client.name or nil
      known[client.name] = true
    end)
    local _ <close> = setmetatable({}, { __close = function()
      places = with_places and places_of(t.timeline, known) or nil
    end })
    scenario.fn(t)
  end
  function surveyed.finish(_, result)
    local least, most = table.unpack(M.SPAN_MS)
    local span_ms = math.max(least, math.min(most, (result.duration_ns or 0) // 1000000))
    result.survey = { clients = names, span_ms = span_ms, places = places }
  end
  return surveyed
end

-- One fault of one kind at each byte of each packet.
local function each_fault(places, kinds)
  local faults = {}
  for _, kind in ipairs(kinds) do
    for _, place in ipairs(places) do
      local who, direction, nth, size = table.unpack(place)
      for byte = 0, size - 1 do
        local text = ("%s any nth %d across at_byte %d %s may_fire"):format(direction, nth, byte, kind)
        faults[#faults + 1] = { who = who, verb = "rule", text = text }
      end
    end
  end
  return faults
end

--- One fault at each byte of each packet of a scenario, both ways, of each kind: a run for each.
function M.exhaustive(scenario, places, kinds, settings)
  local work = of_files({ scenario })
  local faults = each_fault(places, kinds)
  work.total = #faults
  work.title = ("every %s of %s"):format(table.concat(kinds, ", "), select_.full_name(scenario))
  function work.job(number)
    if faults[number] then
      return { scenario = 1, seed = settings.seed, number = number, case = case_.lines(case_of { faults[number] }) }
    end
  end
  return work
end

--- The one run of a replay, which was read of `file`; `scenario` nil: of the standard campaign.
function M.replay(replay, scenario, file)
  local work = scenario and of_files { scenario } or M.campaign({ seed = replay.seed }, 1)
  work.total, work.file = 1, file
  work.title = "a replay of " .. replay.script
  function work.job(number)
    if number == 1 then
      return { scenario = 1, seed = replay.seed, case = case_.lines(replay.case) }
    end
  end
  return work
end

M.script_of = script_of

return M
