-- remains: what is in use when a scenario begins, and what is when all that it made is closed: for inv-32.

local core = require "mqrig.core"
local simulation = require "mqrig.simulation"

local M = {}

M.LINES_MAX = 16 -- of what is left, on the timeline

-- In the order of enum event_resource, from 0.
local KINDS = { "descriptors", "timers", "streams", "memory", "listeners" }

--- What is in use now. In virtual time nothing has a descriptor.
function M.count()
  local usage = core.usage()
  usage.open = simulation.is_on() and {} or core.descriptors()
  usage.descriptors = 0
  for _ in pairs(usage.open) do
    usage.descriptors = usage.descriptors + 1
  end
  return usage
end

local function is_more(began, ended)
  for _, kind in ipairs(KINDS) do
    if ended[kind] > began[kind] then
      return true
    end
  end
  return false
end

local function note(timeline, began, ended)
  local lines = core.usage_list()
  for fd, text in pairs(ended.open) do
    if began.open[fd] ~= text then
      lines[#lines + 1] = ("descriptor %d, %s"):format(fd, text)
    end
  end
  for i = 1, math.min(#lines, M.LINES_MAX) do
    timeline:note("left: " .. lines[i])
  end
  if #lines > M.LINES_MAX then
    timeline:note(("left: %d more"):format(#lines - M.LINES_MAX))
  end
end

--- Puts what there was at the beginning, and what there is now, on the timeline: both at its end, for of a long run it
--- drops the beginning.
function M.tell(timeline, began)
  local ended = M.count()
  if is_more(began, ended) then
    note(timeline, began, ended)
  end
  for i, kind in ipairs(KINDS) do
    timeline:tell("resource", nil, i - 1, began[kind], 0)
    timeline:tell("resource", nil, i - 1, ended[kind], 1)
  end
end

return M
