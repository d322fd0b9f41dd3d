-- faultlines: a timeline's lines with each fault on the line of the packet that it hit.
--
-- On its way out a packet stands behind its fault, both of the same participant. On its way in, a packet that a fault
-- took away stands nowhere
-- but where the other end sent it: the n-th packet that one end sent is the n-th that the other end saw or lost.

local M = {}

local SCAN_MAX = 20000 -- entries looked at

-- After these the packets at the two ends are not the same row any more.
local blurs = { hold = true, inject = true, rewrite = false, dup = true, overtake = true }
local takes = {
  drop = true, rst = true, fin = true, close = true, vanish = true, stall = true, blackhole = true, hold = true,
}

local function action_of(text)
  for word in text:gmatch "%S+" do
    if takes[word] or blurs[word] then
      return word
    end
  end
end

-- Participants that a connection opened: the two ends by the client's address.
local function open(ends, entry)
  local client_address = entry.text:match "^from (%S+)" or entry.text:match "^(%S+) to "
  if not client_address then
    return
  end
  local me = { sent = {}, passed = 0, blurred = false, is_client = not entry.text:find "^from " }
  ends.by_who[entry.who] = me
  local other = ends.by_address[client_address]
  if other and other.is_client ~= me.is_client then
    me.other, other.other = other, me
  end
  ends.by_address[client_address] = me
end

local function is_out(me, direction)
  return (direction == "up") == me.is_client
end

-- A packet on the line `number`.
local function packet(me, entry)
  if is_out(me, entry.kind) then
    me.sent[#me.sent + 1] = entry.number
  else
    me.passed = me.passed + 1
  end
end

-- The number of the line that a fault belongs to; nil: to its own.
local function place(timeline, me, entry)
  local direction = entry.text:match "^(%a+)"
  local following = timeline:entry(entry.number + 1)
  local behind = following and following.who == entry.who and following.at_ns == entry.at_ns and following
  if not me or (direction ~= "up" and direction ~= "down") then
    return behind and (behind.kind == "up" or behind.kind == "down") and behind.number or nil
  elseif is_out(me, direction) then
    return behind and behind.kind == direction and behind.number or nil
  end
  local action = action_of(entry.text)
  me.blurred = me.blurred or blurs[action] or false
  if not takes[action] then
    return behind and behind.kind == direction and behind.number or nil
  end
  me.passed = me.passed + 1
  return not me.blurred and me.other and me.other.sent[me.passed] or nil
end

local function scan(timeline, last)
  local ends, moved = { by_who = {}, by_address = {} }, {}
  for number = 1, last do
    local entry = timeline:entry(number)
    local me = ends.by_who[entry.who]
    if entry.kind == "open" then
      open(ends, entry)
    elseif entry.kind == "fault" then
      moved[number] = place(timeline, me, entry)
    elseif me and (entry.kind == "up" or entry.kind == "down") then
      packet(me, entry)
    end
  end
  return moved
end

--- The newest `most` lines.
function M.lines(timeline, most)
  local lines = timeline:lines(most)
  local last = timeline:last()
  if timeline:dropped() > 0 or last > SCAN_MAX then
    return lines
  end
  local first = last - #lines
  local gone = {}
  local moved = scan(timeline, last)
  for number = first + 1, last do
    local target = moved[number]
    local goal = target and lines[target - first]
    if goal then
      lines[target - first] = ("%s   !! %s"):format(goal, timeline:entry(number).text)
      gone[number - first] = true
    end
  end
  local kept = {}
  for i = 1, #lines do
    kept[#kept + 1] = not gone[i] and lines[i] or nil
  end
  return kept
end

return M
