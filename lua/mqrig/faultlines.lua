-- faultlines: what happened, as lines for a report: each fault on the line of the packet that it hit.

local text = require "mqrig.text"

local M = {}

M.COLUMNS = 96 -- within these a line's faults are to be seen, and of its packet as much as is left
local PACKET_MIN = 44

local function join(line, faults)
  line = text.printable(line)
  if faults == "" then
    return line
  end
  faults = text.printable(faults)
  local room = math.max(PACKET_MIN, M.COLUMNS - utf8.len(faults))
  return text.cut(line, room) .. faults
end

--- The newest `most` lines. `whole`: also what the two ends of a connection both say. `to`: the entry that is the last.
function M.lines(timeline, most, whole, to)
  local lines = {}
  for i, told in ipairs(timeline:story(most, whole, to)) do
    lines[i] = join(told[1], told[2])
  end
  return lines
end

--- All lines, uncut.
function M.all(timeline)
  local lines = {}
  for i, told in ipairs(timeline:story(math.maxinteger, true)) do
    lines[i] = told[1] .. told[2]
  end
  return lines
end

return M
