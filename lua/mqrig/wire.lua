-- wire: packets as the timeline has them.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local near = require "mqrig.near"
local show = require "mqrig.show"
local task = require "mqrig.task"

local M = {}

local types = {
  "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE",
  "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}
local known_fields = blame.set [[type flags dup qos retain packet_id topic payload protocol_name protocol_version
  client_id clean keepalive username password will session_present reason_code subscriptions reason_codes filters
  properties raw within]]
local known_types = blame.set(table.concat(types, " "))

M.types = types

function M.is_type(name)
  return known_types[name] == true
end

--- Raises unless it is the name of a packet, or nil where that is allowed.
function M.check_type(type, optional)
  if known_types[type] or (type == nil and optional) then
    return type
  end
  local hint = near.suggest(type, types) or "known: " .. table.concat(types, ", ")
  blame.raise(("%s is no packet type, %s"):format(show.value(type), hint))
end

--- The fields of a wait's options: all but `within`.
function M.fields(options)
  if options == nil then
    return nil
  end
  blame.options(options, known_fields, "fields of a packet")
  local fields
  for key, value in next, options do
    if key ~= "within" then
      fields = fields or {}
      fields[key] = value
    end
  end
  return fields
end

--- "PUBLISH { qos=1 }"
function M.text(type, fields)
  return (type or "packet") .. (fields and " " .. show.value(fields) or "")
end

local function find(scan)
  local packet, number = scan.timeline:find(scan.after, scan.who, scan.direction, scan.type, scan.fields)
  scan.packet, scan.after = packet, number
  return packet ~= nil
end

-- Once a turn; nothing to do while the timeline has not grown.
local function look(scan)
  return scan.timeline:last() > scan.after and find(scan)
end

--- The first such packet after entry number `after`, and its number; nil if none comes in time.
function M.wait(scenario, who, direction, after, type, fields, within_ns, what)
  M.check_type(type, true)
  local scan = {
    timeline = scenario.timeline,
    after = after,
    who = who,
    direction = direction,
    type = type,
    fields = fields,
  }
  blame.call(find, scan)
  if scan.packet then
    return scan.packet, scan.after
  end
  local due_ns = core.now() + within_ns
  if task.watch(due_ns, what, look, scan) or look(scan) then
    return scan.packet, scan.after
  end
end

--- What of that type did pass since `after`: for the message of a wait in vain.
function M.near_miss(scenario, who, direction, after, type, fields)
  local packet = fields and scenario.timeline:find(after, who, direction, type)
  if packet then
    packet.raw, packet.type, packet.flags = nil, nil, nil
    return ("but %s was"):format(show.value(packet))
  end
end

-- What came since the last look, of all participants, in the order of the timeline.
local function gather(scenario, participants, direction, type, cursors)
  local fresh = {}
  for _, who in ipairs(participants) do
    local packet, number = scenario.timeline:find(cursors[who] or 0, who, direction, type)
    while packet do
      fresh[#fresh + 1] = { packet = packet, number = number }
      packet, number = scenario.timeline:find(number, who, direction, type)
    end
    cursors[who] = number
  end
  table.sort(fresh, function(a, b)
    return a.number < b.number
  end)
  return fresh
end

--- All packets of that type and direction that any of the participants had, oldest first. `books` remembers what was
--- found before.
function M.all(scenario, participants, direction, type, books)
  local kind = M.check_type(type, true) or "any"
  local book = books[kind] or { found = {}, cursors = {} }
  books[kind] = book
  local found = book.found
  for _, entry in ipairs(gather(scenario, participants, direction, type, book.cursors)) do
    found[#found + 1] = entry.packet
  end
  return table.move(found, 1, #found, 1, {})
end

--- The bytes of a packet: (name, fields), one table, or bytes as they are.
function M.bytes(name, fields)
  if type(name) == "table" then
    return blame.call(core.encode, name)
  elseif type(fields or {}) ~= "table" then
    blame.raise(("the fields of a packet are a table, not a %s"):format(type(fields)))
  end
  local packet = { type = M.check_type(name) }
  for key, value in next, fields or {} do
    packet[key] = value
  end
  return blame.call(core.encode, packet)
end

return M
