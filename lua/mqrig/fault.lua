-- fault: what rules and scripted peers are told in values: malformed bytes as typed hex, and distributions of delays.

local blame = require "mqrig.blame"
local units = require "mqrig.units"

local M = {}

--- Stands for any value where a play expects one.
M.any = require("mqrig.match").ANY

local RAW_MAX = 1 << 20
local PARTS = 'hex bytes (62), r<remaining length>, m<16-bit number>, s"text" or b"text"'

-- Remaining length as the standard encodes it.
local function remaining_length(n)
  if n > 268435455 then
    blame.raise(("fault.raw: r%d is more than a remaining length can say (268435455)"):format(n))
  end
  local bytes = {}
  repeat
    local byte = n & 127
    n = n >> 7
    bytes[#bytes + 1] = string.char(n > 0 and byte | 128 or byte)
  until n == 0
  return table.concat(bytes)
end

local function hex_bytes(digits)
  return (digits:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- One token at `position`: its bytes and the position behind it, or nil.
local function token(text, position)
  local kind, quoted, behind = text:match('^([sb])(%b"")()', position)
  if kind then
    local body = quoted:sub(2, -2):gsub("\\x(%x%x)", function(pair)
      return string.char(tonumber(pair, 16))
    end)
    if #body > 65535 and kind == "s" then
      return nil
    end
    return kind == "s" and string.pack(">s2", body) or body, behind
  end
  local word, after = text:match('^([^%s"]+)()', position)
  if not word then
    return nil
  elseif word:match "^r%d+$" and #word < 12 then
    return remaining_length(tonumber(word:sub(2))), after
  elseif word:match "^m%d+$" and #word < 7 and tonumber(word:sub(2)) <= 65535 then
    return string.pack(">I2", tonumber(word:sub(2))), after
  end
  local digits = word:gsub("^0[xX]", "")
  if #digits % 2 == 0 and digits:match "^%x+$" then
    return hex_bytes(digits), after
  end
end

--- Bytes from typed hex, parts divided by spaces: `62` bytes in hex, `r2` a remaining length, `m1` a 16-bit number,
--- `s"text"` a text
--- with its length in front, `b"text"` a text without; `\xNN` in texts.
function M.raw(text)
  if type(text) ~= "string" then
    blame.raise(("fault.raw takes a text such as '62 r2 m1', not a %s"):format(type(text)))
  end
  local parts, position = {}, text:match "^%s*()"
  while position <= #text do
    local bytes, behind = token(text, position)
    if not bytes then
      local there = text:sub(position, position + 15)
      blame.raise(('fault.raw: column %d, at "%s": expected %s'):format(position, there, PARTS))
    end
    parts[#parts + 1] = bytes
    position = text:match("^%s*()", behind)
  end
  local bytes = table.concat(parts)
  if #bytes > RAW_MAX then
    blame.raise(("fault.raw: %d bytes, more than %d"):format(#bytes, RAW_MAX))
  end
  return bytes
end

--- Nanoseconds in the largest unit that keeps them whole: "250ms".
function M.duration_text(ns)
  if ns % 1000000 == 0 then
    return ("%dms"):format(ns // 1000000)
  elseif ns % 1000 == 0 then
    return ("%dus"):format(ns // 1000)
  end
  return ("%dns"):format(ns)
end

-- What is drawn, times or sizes, shows where a distribution is used: until then it holds its values as they were given.
local Distribution = { __name = "distribution" }

--- The text that rules have for it, each of its values written by `write`.
function M.distribution_text(self, write)
  local values = {}
  for i, value in ipairs(self.values) do
    values[i] = write(value)
  end
  values[#values + 1] = self.shape
  return ("%s(%s)"):format(self.name, table.concat(values, ","))
end

function Distribution:__tostring()
  return M.distribution_text(self, tostring)
end

local function distribution(name, shape, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if not units.parse_size(value) then
      blame.duration_ns(value, "fault." .. name)
    end
  end
  return setmetatable({ name = name, shape = shape, values = { ... } }, Distribution)
end

function M.is_distribution(value)
  return getmetatable(value) == Distribution
end

--- Always this delay.
function M.fixed(delay)
  return distribution("fixed", nil, delay)
end

--- Delays around `mean` with this deviation, never below 0.
function M.normal(mean, deviation)
  return distribution("normal", nil, mean, deviation)
end

--- Delays from `low` to `high`, each as likely.
function M.uniform(low, high)
  return distribution("uniform", nil, low, high)
end

--- Many short delays, few long ones.
function M.exponential(mean)
  return distribution("exponential", nil, mean)
end

--- At least `least`, with a tail that is the longer the smaller the shape (a number above 0).
function M.pareto(least, shape)
  if math.type(shape) == nil or not (shape >= 0.001 and shape <= 1000) then
    blame.raise(("fault.pareto: the shape is a number from 0.001 to 1000, not %s"):format(tostring(shape)))
  end
  local digits = ("%.9f"):format(shape):gsub("0+$", ""):gsub("%.$", "")
  return distribution("pareto", digits, least)
end

return M
