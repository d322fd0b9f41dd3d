-- coverage: what a campaign has hit: kind of fault x type of packet x direction x how much was in flight. Cells that were
-- never hit are named, so that nobody takes "no failure" for "looked at".

local M = {}

local NAMES = { "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE",
  "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH" }
local PUBLISH, PUBACK, PUBCOMP = 3, 4, 7

M.ENTRIES_MAX = 20000 -- of a timeline that are looked at
M.ACTIONS = { "rst", "fin", "vanish", "close", "stall", "blackhole" }
M.FLIGHT = { "idle", "in flight" }

local Coverage = {}
Coverage.__index = Coverage

function M.new()
  return setmetatable({ cells = {}, count = 0 }, Coverage)
end

--- The cell of one firing.
function M.cell(fault, packet, direction, in_flight)
  return ("%s %s %s, %s"):format(fault, direction, packet, M.FLIGHT[in_flight and 2 or 1])
end

-- The action of a rule's text.
local function action_of(rule)
  for _, action in ipairs(M.ACTIONS) do
    if rule:find("%f[%w]" .. action .. "%f[%W]") then
      return action
    end
  end
  return "other"
end

-- How many QoS 1 and 2 messages a participant has in flight, both ways: from packets as they pass.
local function follow(flight, entry)
  local first = entry.bytes:byte()
  local type, qos = first >> 4, first >> 1 & 3
  local change = type == PUBLISH and qos > 0 and 1 or (type == PUBACK or type == PUBCOMP) and -1 or 0
  flight[entry.who] = math.max(0, (flight[entry.who] or 0) + change)
end

--- What the faults of a timeline have hit: { cell = how often }.
function M.of(timeline)
  local hits, flight = {}, {}
  for number = timeline:dropped() + 1, math.min(timeline:last(), timeline:dropped() + M.ENTRIES_MAX) do
    local entry = timeline:entry(number)
    if entry and (entry.kind == "up" or entry.kind == "down") and #entry.bytes > 0 then
      follow(flight, entry)
    elseif entry and entry.packet_index and #entry.bytes > 0 then
      local cell = M.cell(action_of(entry.text), NAMES[entry.bytes:byte() >> 4], entry.direction, (flight[entry.who] or 0) > 0)
      hits[cell] = (hits[cell] or 0) + 1
    end
  end
  return hits
end

--- Adds what one run has hit: { cell = how often }.
function Coverage:add(hits)
  for cell, count in next, hits or {} do
    self.cells[cell] = (self.cells[cell] or 0) + count
    self.count = self.count + count
  end
end

--- All cells that a list of faults and packets by direction ("any" is none) can have, in order.
function M.all(faults, packets)
  local cells = {}
  for _, fault in ipairs(faults) do
    for _, direction in ipairs { "up", "down" } do
      for _, packet in ipairs(packets[direction]) do
        if packet ~= "any" then
          cells[#cells + 1] = M.cell(fault, packet, direction, false)
          cells[#cells + 1] = M.cell(fault, packet, direction, true)
        end
      end
    end
  end
  return cells
end

--- How many of the cells were hit, and the names of the others.
function Coverage:report(cells)
  local hit, empty = 0, {}
  for _, cell in ipairs(cells) do
    if self.cells[cell] then
      hit = hit + 1
    else
      empty[#empty + 1] = cell
    end
  end
  return hit, empty
end

return M
