-- select: which of the loaded scenarios run, and in which order.

local near = require "mqrig.near"
local text = require "mqrig.text"

local M = {}

--- How a scenario is called in reports and filters.
function M.full_name(scenario)
  return scenario.file .. ": " .. scenario.name
end

local function encloses(scenario, line)
  return (scenario.line <= line and line <= scenario.last_line)
    or (scenario.body_line and scenario.body_line <= line and line <= scenario.body_last_line)
end

-- Those of one file that enclose the line, else those that follow it next.
local function at_line(scenarios, line)
  local found, next_line = {}, math.huge
  for _, scenario in ipairs(scenarios) do
    if encloses(scenario, line) then
      found[scenario] = true
    elseif scenario.line > line then
      next_line = math.min(next_line, scenario.line)
    end
  end
  if next(found) == nil then
    for _, scenario in ipairs(scenarios) do
      found[scenario] = scenario.line == next_line or nil
    end
  end
  return found
end

-- Scenarios of the files that were asked for by line, as a set; other files are all in.
local function by_line(scenarios, entries)
  local of_file, wanted = {}, {}
  for _, scenario in ipairs(scenarios) do
    of_file[scenario.file] = of_file[scenario.file] or {}
    table.insert(of_file[scenario.file], scenario)
  end
  for _, entry in ipairs(entries) do
    local list = of_file[entry.file] or {}
    for _, line in ipairs(entry.lines or {}) do
      for scenario in pairs(at_line(list, line)) do
        wanted[scenario] = true
      end
    end
    if not entry.lines then
      for _, scenario in ipairs(list) do
        wanted[scenario] = true
      end
    end
  end
  return wanted
end

local function has(list, item)
  for _, one in ipairs(list) do
    if one == item then
      return true
    end
  end
  return false
end

local function contains_any(name, texts)
  for _, piece in ipairs(texts) do
    if name:lower():find(piece:lower(), 1, true) then
      return true
    end
  end
  return false
end

-- "A,!B": every one without "!" is needed, none with it may be there.
local function tags_fit(scenario, tags)
  for _, tag in ipairs(tags) do
    local unwanted = tag:match "^!(.+)$"
    if has(scenario.tags, unwanted or tag) == (unwanted ~= nil) then
      return false
    end
  end
  return true
end

-- The identifier as a whole, or a beginning of it that ends before a separator: "3.3.1" fits "MQTT-3.3.1-2". The
-- version or "MQTT-" in front may be left out.
local function clause_fits(clause, wanted)
  if not wanted:find "^MQTT%-" and not wanted:find ":" then
    clause = clause:match "^MQTT%-(.+)$" or clause:match "^[%d.]+:(.+)$" or clause
  end
  local rest = clause:sub(1, #wanted) == wanted and clause:sub(#wanted + 1)
  return rest and (rest == "" or rest:find "^[-.]" ~= nil)
end

local function clauses_fit(scenario, wanted)
  for _, one in ipairs(wanted) do
    for _, clause in ipairs(scenario.clause) do
      if clause_fits(clause, one) then
        return true
      end
    end
  end
  return #wanted == 0
end

local function fits(scenario, settings, last_failed)
  local name = M.full_name(scenario)
  return (#settings.filter == 0 or contains_any(name, settings.filter))
    and not contains_any(name, settings.exclude)
    and tags_fit(scenario, settings.tag)
    and clauses_fit(scenario, settings.clause)
    and (not last_failed or last_failed[name])
end

local function shuffle(list, seed)
  for i = #list, 2, -1 do
    local j = (text.hash("shuffle " .. i, seed) >> 1) % i + 1
    list[i], list[j] = list[j], list[i]
  end
end

--- The scenarios to run. `entries` as of paths.expand; `last_failed`: a set of full names, or nil.
function M.select(scenarios, entries, settings, last_failed)
  local wanted, list = by_line(scenarios, entries), {}
  for _, scenario in ipairs(scenarios) do
    if wanted[scenario] and fits(scenario, settings, last_failed) then
      list[#list + 1] = scenario
    end
  end
  local shard, mine = settings.shard, {}
  for i, scenario in ipairs(list) do
    if not shard or (i - 1) % shard.of == shard.index - 1 then
      mine[#mine + 1] = scenario
    end
  end
  if settings.shuffle then
    shuffle(mine, settings.seed)
  end
  return mine
end

local function all_of(scenarios, key)
  local set = {}
  for _, scenario in ipairs(scenarios) do
    for _, value in ipairs(scenario[key]) do
      set[value] = true
    end
  end
  return near.keys(set)
end

-- Quoted, with commas.
local function quoted(list)
  return '"' .. table.concat(list, '", "') .. '"'
end

local function nothing_of_tag(tag, scenarios)
  local name = tag:gsub("^!", "")
  local tags = all_of(scenarios, "tags")
  if has(tags, name) then
    return nil
  end
  return ('no scenario has the tag "%s", %s'):format(name, near.suggest(name, tags)
    or (#tags > 0 and "there are: " .. table.concat(tags, ", ") or "none has any tag"))
end

-- Each takes the settings, the scenarios that are left and those that failed last; gives what remains of them and why
-- nothing does.
local steps = {
  function(settings, left)
    return #settings.filter > 0 and function(name)
      return contains_any(name, settings.filter)
    end, ("none of %d scenarios has %s in its file or name"):format(#left, quoted(settings.filter))
  end,
  function(settings, left)
    return #settings.exclude > 0 and function(name)
      return not contains_any(name, settings.exclude)
    end, ("--exclude %s leaves none of %d scenarios"):format(quoted(settings.exclude), #left)
  end,
  function(settings, left)
    return #settings.tag > 0 and function(_, scenario)
      return tags_fit(scenario, settings.tag)
    end, ("none of %d scenarios has the tags %s"):format(#left, table.concat(settings.tag, ","))
  end,
  function(settings, left)
    return #settings.clause > 0 and function(_, scenario)
      return clauses_fit(scenario, settings.clause)
    end, ("none of %d scenarios is about the clause %s"):format(#left, quoted(settings.clause))
  end,
  function(_, left, last_failed)
    return last_failed and function(name)
      return last_failed[name]
    end, ("none of %d scenarios failed in the last run"):format(#left)
  end,
}

local function nothing_at_lines(scenarios, entries)
  for _, entry in ipairs(entries) do
    local last
    for _, scenario in ipairs(scenarios) do
      last = scenario.file == entry.file and math.max(last or 0, scenario.line) or last
    end
    if entry.lines and last then
      return ("%s has no scenario on or after line %d, its last one begins on line %d"):format(entry.file,
        entry.lines[1], last)
    end
  end
end

--- Why nothing was selected: a sentence. It names the first choice that left none.
function M.explain_nothing(scenarios, entries, settings, last_failed)
  if #scenarios == 0 then
    return #entries == 0 and "there is no scenario file (*.lua) here" or "the files hold no scenario"
  end
  for _, tag in ipairs(settings.tag) do
    local sentence = nothing_of_tag(tag, scenarios)
    if sentence then
      return sentence
    end
  end
  local wanted, left = by_line(scenarios, entries), {}
  for _, scenario in ipairs(scenarios) do
    left[#left + 1] = wanted[scenario] and scenario or nil
  end
  local sentence = #left == 0 and nothing_at_lines(scenarios, entries)
  for i = 1, not sentence and #steps or 0 do
    local fits_step, why = steps[i](settings, left, last_failed)
    local kept = {}
    for _, scenario in ipairs(left) do
      kept[#kept + 1] = (not fits_step or fits_step(M.full_name(scenario), scenario)) and scenario or nil
    end
    if #kept == 0 then
      return why
    end
    left = kept
  end
  local shard = settings.shard or { index = 1, of = 1 }
  return sentence or ("--shard %d/%d has none of %d scenarios"):format(shard.index, shard.of, #left)
end

return M
