-- layout: where the fields of a packet are in its bytes, for `mqrig decode`. MQTT 3.1.1. Goes as far as the bytes do: a
-- field that runs past the end is cut there and says so.

local text = require "mqrig.text"

local M = {}

M.NAMES = {
  "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE",
  "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

local Cursor = {}
Cursor.__index = Cursor

local function add(c, size, name, shown)
  local left = #c.bytes - c.at + 1
  if left <= 0 then
    return nil
  end
  if size > left then
    shown = (shown and shown .. " " or "") .. ("(cut: %d of %d bytes)"):format(left, size)
    size = left
  end
  local bytes = c.bytes:sub(c.at, c.at + size - 1)
  table.insert(c.fields, { offset = c.at - 1, size = size, name = name, text = shown, bytes = bytes })
  c.at = c.at + size
  return bytes
end

local function quoted(bytes)
  return '"' .. text.cut(text.printable(bytes), 60) .. '"'
end

local function byte_at(c)
  return c.bytes:byte(c.at)
end

local function word_at(c)
  local high, low = c.bytes:byte(c.at, c.at + 1)
  return low and high << 8 | low
end

local function word(c, name)
  local value = word_at(c)
  return add(c, 2, name, value and tostring(value))
end

-- A length-prefixed text or binary value: one field, prefix included.
local function string_field(c, name)
  local size = word_at(c)
  local value = size and c.bytes:sub(c.at + 2, c.at + 1 + size)
  return add(c, size and size + 2 or 2, name, value and ("length %d, %s"):format(size, quoted(value)))
end

local function is_left(c)
  return c.at <= #c.bytes
end

local function bits(value, names)
  local words = {}
  for _, name in ipairs(names) do
    local shift, width = name[2], name[3] or 1
    words[#words + 1] = name[1] .. " " .. (value >> shift & (1 << width) - 1)
  end
  return table.concat(words, ", ")
end

local connect_flags = { { "username", 7 }, { "password", 6 }, { "will_retain", 5 }, { "will_qos", 3, 2 }, { "will", 2 },
  { "clean", 1 }, { "reserved", 0 } }

local body = {}

function body.CONNECT(c)
  string_field(c, "protocol_name")
  add(c, 1, "protocol_version", tostring(byte_at(c)))
  local flags = byte_at(c) or 0
  add(c, 1, "connect_flags", bits(flags, connect_flags))
  word(c, "keepalive")
  string_field(c, "client_id")
  if flags & 0x04 ~= 0 then
    string_field(c, "will.topic")
    string_field(c, "will.payload")
  end
  if flags & 0x80 ~= 0 then
    string_field(c, "username")
  end
  if flags & 0x40 ~= 0 then
    string_field(c, "password")
  end
end

function body.CONNACK(c)
  add(c, 1, "acknowledge_flags", bits(byte_at(c) or 0, { { "reserved", 1, 7 }, { "session_present", 0 } }))
  add(c, 1, "reason_code", tostring(byte_at(c)))
end

function body.PUBLISH(c, flags)
  string_field(c, "topic")
  if flags & 6 ~= 0 then
    word(c, "packet_id")
  end
  if is_left(c) then
    local payload = c.bytes:sub(c.at)
    add(c, #payload, "payload", ("%d bytes, %s"):format(#payload, quoted(payload)))
  end
end

function body.SUBSCRIBE(c)
  word(c, "packet_id")
  while is_left(c) do
    string_field(c, "filter")
    add(c, 1, "options", bits(byte_at(c) or 0, { { "reserved", 2, 6 }, { "qos", 0, 2 } }))
  end
end

function body.SUBACK(c)
  word(c, "packet_id")
  while is_left(c) do
    add(c, 1, "reason_code", tostring(byte_at(c)))
  end
end

function body.UNSUBSCRIBE(c)
  word(c, "packet_id")
  while is_left(c) do
    string_field(c, "filter")
  end
end

local function only_packet_id(c)
  word(c, "packet_id")
end

for _, name in ipairs { "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "UNSUBACK" } do
  body[name] = only_packet_id
end

-- The length: up to four bytes of seven bits, the eighth says that another follows. Nil if it does not end.
local function remaining_length(bytes)
  local value = 0
  for i = 0, 3 do
    local byte = bytes:byte(2 + i)
    if not byte then
      return nil, i
    end
    value = value | (byte & 0x7f) << 7 * i
    if byte < 0x80 then
      return value, i + 1
    end
  end
  return nil, 4
end

--- The bytes of the packet's name: "PUBLISH", or "type 0".
function M.name(first_byte)
  local kind = first_byte >> 4
  return M.NAMES[kind] or "type " .. kind
end

--- The fields of the packet at the start of `bytes` (which may hold more behind it), in order: { offset=, size=, name=,
--- text=, bytes= }. `version` "3.1.1": for others the body is one field.
function M.fields(bytes, version)
  local first = bytes:byte(1)
  local length, size = remaining_length(bytes)
  local c = setmetatable({ bytes = bytes, at = 1, fields = {} }, Cursor)
  local name, flags = M.name(first), first & 15
  local shown = ("%s, flags 0x%x"):format(name, flags)
  if name == "PUBLISH" then
    shown = name .. ", " .. bits(flags, { { "dup", 3 }, { "qos", 1, 2 }, { "retain", 0 } })
  end
  add(c, 1, "type", shown)
  if size > 0 then
    add(c, size, "remaining_length", length and tostring(length) or "does not end")
  end
  if not length then
    return c.fields
  end
  c.bytes = bytes:sub(1, 1 + size + length)
  if version == "3.1.1" and body[name] then
    body[name](c, flags)
  end
  if is_left(c) then
    add(c, #c.bytes - c.at + 1, version == "3.1.1" and "left_over" or "body")
  end
  return c.fields
end

return M
