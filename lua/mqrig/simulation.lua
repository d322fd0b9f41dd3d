-- simulation: the virtual world of one scenario: entered before it runs, left when all that it made is closed.
--
-- Whoever makes something makes it through `at`, so that it has a host of its own, called as it is called. In the real
-- world all of this does nothing.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local near = require "mqrig.near"
local sandbox = require "mqrig.sandbox"

local M = {}

M.REAL_S = 60 -- of real time, for a scenario in simulation, unless told otherwise
M.HOST_MAX = 63 -- bytes of a host's name
M.WAITING_MAX = 8 -- lines about what waits

-- Of the scenario that runs in simulation: { scenario=, kept=, tasks=fn(), homes= { name of a host = as it was given },
-- mentioned= { { name=, what=, file=, line= }, ... } }.
local current

--- Whether the scenario that runs is simulated.
function M.is_on()
  return current ~= nil
end

--- Raises at the line that wants what simulation cannot give: the scenario is skipped, or, if it is declared for
--- simulation only, has failed.
function M.refuse(what, why)
  local sentence = ("%s is not there in simulation: %s"):format(what, why)
  if current.scenario.net == "sim" then
    failure.raise { message = sentence }
  end
  local file, line = blame.where()
  failure.skip(file and ("%s (%s:%d)"):format(sentence, file, line) or sentence)
end

--- The same, where it is asked for in either world.
function M.needs_real(what, why)
  if current then
    M.refuse(what, why)
  end
end

--- Ends a scenario that runs on a real network here: what it asks for exists in simulation only.
function M.needs_virtual(what)
  if current then
    return
  end
  local file, line = blame.where()
  local sentence = ("%s exists in simulation only, and this is a real network (--net sim)"):format(what)
  failure.skip(file and ("%s (%s:%d)"):format(sentence, file, line) or sentence)
end

--- The name of the host where what is called `name` is at home.
function M.host(name)
  local host = name:lower():gsub("[^a-z0-9_.-]", "-"):sub(1, M.HOST_MAX)
  return (host == "main" or host == "") and host .. "-" or host
end

local function back(ok, ...)
  core.sim.at(nil)
  if not ok then
    error((...), 0)
  end
  return ...
end

--- f(...), what it makes is at home on the host of that name.
function M.at(name, f, ...)
  if not current then
    return f(...)
  end
  local host = M.host(name)
  current.homes[host] = name
  core.sim.at(host)
  return back(pcall(f, ...))
end

--- A node is called by its name, by `what`; it may be made later.
function M.mention(name, what)
  local file, line = blame.where()
  table.insert(current.mentioned, { name = name, what = what, file = file, line = line })
end

--- What was said of a node that there never was, { message, file, line }, or nil.
function M.stranger()
  for _, one in ipairs(current and current.mentioned or {}) do
    if not current.homes[M.host(one.name)] then
      local hint = near.suggest(one.name, near.keys(current.homes))
      local message = ('%s: there was no node "%s"%s'):format(one.what, one.name, hint and ", " .. hint or "")
      return { message = message, file = one.file, line = one.line }
    end
  end
end

failure.more_about_late = function()
  return M.deadlock()
end

--- Begins the world of a scenario. `options`: seed, and what core.sim.enter takes.
function M.enter(scenario, options)
  core.sim.enter { seed = options.seed, whole = options.whole, in_order = options.in_order }
  current = { scenario = scenario, kept = {}, homes = {}, mentioned = {} }
  sandbox.begin(options.seed, M.refuse, options.log or print)
end

--- What a part of the library keeps for as long as the scenario's world lasts: `value` at first.
function M.keep(key, value)
  local kept = current.kept[key] or value
  current.kept[key] = kept
  return kept
end

--- The tasks of the scenario, for the list of what waits: `tasks()` gives { line, ... }, or nil if one goes on by itself.
function M.tell_waiting(tasks)
  current.tasks = tasks
end

--- All that has happened, as one word: on the timeline and in the network.
function M.hash(timeline)
  return ("%016x%016x"):format(timeline:hash(), core.sim.hash())
end

function M.leave()
  sandbox.finish()
  current = nil
  core.sim.leave()
end

--- When nothing can happen any more: a text that says so and lists what waits; else nil.
function M.deadlock()
  if not current or core.sim.next() then
    return nil
  end
  local lines = current.tasks and current.tasks()
  if not lines then
    return nil
  end
  local more = core.sim.waiting()
  table.move(more, 1, #more, #lines + 1, lines)
  if #lines > M.WAITING_MAX then
    lines = table.move(lines, 1, M.WAITING_MAX, 1, { [M.WAITING_MAX + 1] = ("%d more"):format(#lines - M.WAITING_MAX) })
  end
  return "deadlock: nothing can happen any more" .. (#lines > 0 and ", and these wait: " or "")
    .. table.concat(lines, "; ")
end

return M
