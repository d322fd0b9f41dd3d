-- match: does a packet have these values, and where does it differ? An expectation is { type=, fields=, bytes= }: a
-- name of a packet or "any", values by field, or the bytes of a whole packet.

local blame = require "mqrig.blame"
local compare = require "mqrig.compare"
local show = require "mqrig.show"

local M = {}

local ORDER = [[dup qos retain packet_id topic payload protocol_name protocol_version client_id clean keepalive username
  password will session_present reason_code subscriptions filters reason_codes properties flags raw]]
local hidden = blame.set "type flags raw" -- of what came: said by other fields already

--- A value that stands for every value.
M.ANY = setmetatable({}, {
  __name = "any value",
  __tostring = function()
    return "..."
  end,
})

function M.is_any(value)
  return value == M.ANY or value == "..."
end

--- Whether `value` is what is wanted: any; what a function says yes to; a table that has at least these fields, and a
--- list of this length; or an equal value.
function M.matches(value, wanted)
  if M.is_any(wanted) then
    return true
  elseif type(wanted) == "function" then
    return blame.call(wanted, value) and true or false
  elseif type(wanted) ~= "table" or type(value) ~= "table" then
    return compare.equal(value, wanted)
  elseif #wanted > 0 and #wanted ~= #value then
    return false
  end
  for key, part in next, wanted do
    if not M.matches(value[key], part) then
      return false
    end
  end
  return true
end

--- Whether a packet, or bytes that are none, is what is expected.
function M.packet(got, wanted)
  if wanted.bytes then
    return (type(got) == "string" and got or got.raw) == wanted.bytes
  end
  return type(got) == "table" and (wanted.type == "any" or got.type == wanted.type)
    and M.matches(got, wanted.fields or {})
end

local function value_text(value)
  if M.is_any(value) then
    return "..."
  elseif type(value) == "string" then
    return show.text(value, 40)
  elseif type(value) == "function" then
    return "what the function takes"
  end
  return show.value(value)
end

local function in_order(fields)
  local names = {}
  for name in ORDER:gmatch "%S+" do
    names[#names + 1] = fields[name] ~= nil and name or nil
  end
  return names
end

function M.hex(bytes)
  local head = bytes:sub(1, 24):gsub(".", function(char)
    return ("%02x "):format(char:byte())
  end)
  return #bytes > 24 and ("%s... (%d bytes)"):format(head, #bytes) or (head:gsub(" $", ""))
end

local function cell(name, value, mark)
  return ("%s%s=%s"):format(mark and "!" or "", name, value_text(value))
end

--- An expectation as text: `PUBREL packet_id=7`.
function M.text(wanted)
  if wanted.bytes then
    return "bytes " .. M.hex(wanted.bytes)
  end
  local words = { wanted.type == "any" and "any packet" or wanted.type }
  for _, name in ipairs(in_order(wanted.fields or {})) do
    words[#words + 1] = cell(name, wanted.fields[name])
  end
  return table.concat(words, " ")
end

-- The fields of a packet that came, but for those in `said`.
local function other_cells(got, said)
  local cells = {}
  for _, name in ipairs(in_order(got)) do
    if not hidden[name] and said[name] == nil then
      cells[#cells + 1] = cell(name, got[name])
    end
  end
  return cells
end

--- What came as text.
function M.got_text(got)
  if type(got) == "string" then
    return "bytes that are no packet: " .. M.hex(got)
  end
  return table.concat({ got.type, table.unpack(other_cells(got, {})) }, " ")
end

local function pad(text, width)
  return text .. (" "):rep(width - (utf8.len(text) or #text))
end

-- Field under field, what differs with a mark.
local function lined_up(got, wanted)
  local fields = wanted.fields or {}
  local upper, lower = { got.type }, { got.type }
  for _, name in ipairs(in_order(fields)) do
    local differs = not M.matches(got[name], fields[name])
    local a = cell(name, fields[name], differs)
    local b = got[name] == nil and "!no " .. name or cell(name, got[name], differs)
    local width = math.max(utf8.len(a) or #a, utf8.len(b) or #b)
    upper[#upper + 1], lower[#lower + 1] = pad(a, width), pad(b, width)
  end
  for _, text in ipairs(other_cells(got, fields)) do
    lower[#lower + 1] = text
  end
  return (table.concat(upper, " "):gsub(" +$", "")), (table.concat(lower, " "):gsub(" +$", ""))
end

--- What was expected and what came, to stand under each other: what differs begins with "!".
function M.texts(got, wanted)
  if wanted.bytes then
    return M.text(wanted), type(got) == "string" and M.got_text(got) or "bytes " .. M.hex(got.raw)
  elseif type(got) == "string" then
    return M.text(wanted), M.got_text(got)
  elseif wanted.type ~= "any" and got.type ~= wanted.type then
    return "!" .. M.text(wanted), "!" .. M.got_text(got)
  end
  return lined_up(got, wanted)
end

--- Whether every packet of `list` can have an expectation of its own. `taken`: which expectation has which packet, kept
--- from call to call, the newest packet not in it yet.
function M.assign(list, expectations, taken)
  local tried = {}
  local function place(packet)
    for i, wanted in ipairs(expectations) do
      if not tried[i] and M.packet(packet, wanted) then
        tried[i] = true
        if not taken[i] or place(taken[i]) then
          taken[i] = packet
          return true
        end
      end
    end
    return false
  end
  return place(list[#list])
end

return M
