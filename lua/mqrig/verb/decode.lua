-- mqrig decode: packets from hex, taken apart.

local core = require "mqrig.core"
local dkjson = require "dkjson"
local layout = require "mqrig.layout"
local near = require "mqrig.near"
local text = require "mqrig.text"

local M = { summary = "take packets apart: fields, offsets, violated clauses" }

M.BYTES_MAX = 64 << 20
M.HEX_SHOWN = 8 -- bytes of a field on its line

local versions = { ["3.1.1"] = "3.1.1", ["4"] = "3.1.1", ["5"] = "5", ["5.0"] = "5" }

function M.configure(parser)
  parser:description(text.flow [[
Takes MQTT packets apart. The hex is given as arguments, or as the name of a file (hex text or raw bytes), or on
standard input when there is no argument or it is "-". Spaces, commas, "0x", "\x" and ":" between bytes are fine, "#"
begins a comment. Exit status: 0 all were packets, 1 one was malformed or cut short (with --strict: or violated a
clause), 2 what was given is no hex.]])
  parser:argument("hex", "the bytes, or a file"):args "*"
  parser:option("-V --mqtt", "version of MQTT (default 3.1.1; a CONNECT tells for itself)"):argname "3.1.1|5"
  parser:option("--from", "who sent it, for the clauses (default: who may send that type)"):argname "client|broker"
  parser:flag("--strict", "exit 1 also when a clause is violated")
  parser:flag("--json", "JSON lines")
end

-- Text that is hex to bytes; nil, a sentence.
local function parse_hex(s)
  s = s:gsub("#[^\n]*", " "):gsub("0[xX]", " "):gsub("\\x", " "):gsub("[%s,:;|]+", " ")
  local out = {}
  for word in s:gmatch "%S+" do
    local bad = word:find "%X"
    if bad then
      return nil, ('"%s" is no hexadecimal digit, in "%s"'):format(text.printable(word:sub(bad, bad)),
        text.cut(text.printable(word), 40))
    elseif #word == 1 then
      word = "0" .. word
    elseif #word % 2 == 1 then
      return nil, ('an odd number of digits in "%s": a byte has two'):format(text.cut(word, 40))
    end
    out[#out + 1] = word:gsub("%x%x", function(pair)
      return string.char(tonumber(pair, 16))
    end)
  end
  return table.concat(out)
end

-- A file is hex text if that is what it reads as, else it is the bytes.
local function from_content(content, name)
  if #content > M.BYTES_MAX then
    return nil, ("%s is larger than %d MiB"):format(name, M.BYTES_MAX >> 20)
  elseif content:find "[^\t\n\r\x20-\x7e]" then
    return content
  end
  local bytes, sentence = parse_hex(content)
  return bytes, sentence and name .. ": " .. sentence
end

local function read_all(name)
  if name == "-" then
    return from_content(io.read "a", "standard input")
  end
  local file, problem = io.open(name, "rb")
  local content = file and file:read(M.BYTES_MAX + 1)
  if file then
    file:close()
  end
  if not file then
    return nil, problem
  end
  return from_content(content or "", name)
end

-- The bytes that the arguments mean; nil, a sentence.
local function read_input(arguments)
  if #arguments == 0 then
    return read_all "-"
  elseif #arguments == 1 then
    local only = arguments[1]
    local bytes, sentence = parse_hex(only)
    local file = only ~= "-" and io.open(only, "rb")
    if file then
      file:close()
    end
    if only == "-" or file then
      return read_all(only)
    end
    return bytes, sentence and sentence .. ", and there is no file of that name"
  end
  return parse_hex(table.concat(arguments, " "))
end

local from_client = { CONNECT = true, SUBSCRIBE = true, UNSUBSCRIBE = true, PINGREQ = true, DISCONNECT = true }
local from_broker = { CONNACK = true, SUBACK = true, UNSUBACK = true, PINGRESP = true }

local function sender(kind, given)
  return given or (from_broker[kind] and "broker") or (from_client[kind] and "client") or "client"
end

local function violations_of(raw, kind, version, given)
  local ok, list = pcall(core.strict, raw, sender(kind, given), version == "5" and 5 or 4)
  return ok and list or {}
end

local function hex(bytes, most)
  local shown = bytes:sub(1, most):gsub(".", function(c)
    return ("%02x "):format(c:byte())
  end):gsub(" $", "")
  return #bytes > most and shown .. " ..." or shown
end

local function print_fields(base, fields)
  for _, field in ipairs(fields) do
    io.write(("  %6d  %-28s  %-18s %s\n"):format(base + field.offset, hex(field.bytes, M.HEX_SHOWN), field.name,
      field.text or ""))
  end
end

local function print_packet(one)
  io.write(("offset %d, %d bytes: %s\n"):format(one.offset, one.size, one.text))
  print_fields(one.offset, one.fields)
  for _, violation in ipairs(one.violations) do
    io.write(("  violates [%s]: %s\n"):format(violation.clause, violation.text))
  end
end

local function print_bad(one)
  io.write(("offset %d: %s%s\n"):format(one.offset, one.malformed, one.clause and " [" .. one.clause .. "]" or ""))
  print_fields(one.begin, one.fields)
end

local function encode_json(one)
  for _, field in ipairs(one.fields) do
    field.bytes = hex(field.bytes, #field.bytes):gsub(" ", "")
  end
  io.write(dkjson.encode(one, { keyorder = { "offset", "size", "type", "text" } }), "\n")
end

-- One packet at `at` (from 0): what to show, and the size or nil at the end.
local function take(bytes, at, version, given)
  local number = version == "5" and 5 or 4
  local packet, second, third, clause = core.decode(bytes, at, number)
  local rest = bytes:sub(at + 1, at + 5 + (type(second) == "number" and second or M.BYTES_MAX))
  if packet then
    local size = second
    local raw = bytes:sub(at + 1, at + size)
    local level = packet.type == "CONNECT" and packet.protocol_version == 5 and "5" or version
    return {
      offset = at, size = size, type = packet.type, text = core.describe(raw, number),
      fields = layout.fields(raw, level),
      violations = setmetatable(violations_of(raw, packet.type, version, given), { __jsontype = "array" }),
    }, size
  end
  local begun = layout.name(bytes:byte(at + 1))
  local one = { begin = at, type = begun, fields = layout.fields(rest, version) }
  if second == "more" then
    one.offset = #bytes
    one.malformed = ("the bytes end inside this %s, which began at offset %d"):format(begun, at)
  else
    one.offset, one.clause = at + third, clause
    one.malformed = ("malformed %s, which began at offset %d: %s"):format(begun, at, second)
  end
  return one
end

function M.run(arguments)
  local version = versions[arguments.mqtt or "3.1.1"]
  if not version then
    return nil, ('--mqtt is 3.1.1 or 5, not "%s"'):format(arguments.mqtt)
  elseif arguments.from and arguments.from ~= "client" and arguments.from ~= "broker" then
    local hint = near.suggest(arguments.from, { "client", "broker" })
    return nil, ('--from is client or broker, not "%s"%s'):format(arguments.from, hint and ", " .. hint or "")
  end
  local bytes, sentence = read_input(arguments.hex)
  if not bytes then
    return nil, sentence
  elseif bytes == "" then
    return nil, "there are no bytes to decode"
  end
  local at, status = 0, 0
  while at < #bytes do
    local one, size = take(bytes, at, version, arguments.from)
    if arguments.json then
      encode_json(one)
    elseif size then
      print_packet(one)
    else
      print_bad(one)
    end
    if not size then
      return 1
    elseif arguments.strict and #one.violations > 0 then
      status = 1
    end
    at = at + size
  end
  return status
end

return M
