-- units: durations and sizes as people write them: 0.25, "250ms", "2m"; 4096, "64k", "1MiB".
--
-- Two forms of each: `parse_x(value)` gives the number, or nil and a sentence; `x(value, what [, level])` raises the
-- sentence with `what` in front, at the line of the function that many levels above the caller (1: the caller itself).

local M = {}

-- Three centuries would fit into 64 bits of nanoseconds; nobody waits a tenth of that.
M.DURATION_MAX_S = 1e9
M.SIZE_MAX = 1 << 52

local seconds_in = { ns = 1e-9, us = 1e-6, ["µs"] = 1e-6, ms = 1e-3, s = 1, m = 60, min = 60, h = 3600, d = 86400 }

local bytes_in = { b = 1, k = 1 << 10, m = 1 << 20, g = 1 << 30, t = 1 << 40 }
for _, letter in ipairs { "k", "m", "g", "t" } do
  bytes_in[letter .. "b"], bytes_in[letter .. "ib"] = bytes_in[letter], bytes_in[letter]
end

local function shown(value)
  if type(value) == "string" then
    return '"' .. value:sub(1, 40):gsub("%c", "?") .. '"'
  end
  return math.type(value) and tostring(value) or "a " .. type(value)
end

local function split(text)
  local number, unit = text:match "^%s*([%d.]+)%s*(%S*)%s*$"
  return tonumber(number or "", 10) or tonumber(number), unit
end

-- A number times a unit of the table, or nil.
local function scaled(value, units, default)
  if type(value) ~= "string" then
    return math.type(value) and value or nil
  end
  local number, unit = split(value)
  local factor = unit and (unit == "" and default or units[unit] or units[unit:lower()])
  return number and factor and number * factor
end

--- The duration in seconds, a float; or nil and a sentence.
function M.parse_duration(value)
  local s = scaled(value, seconds_in, 1)
  if not s or s ~= s then
    return nil, ('a duration is seconds (0.25) or a text like "250ms", "10s", "2m", not %s'):format(shown(value))
  end
  if s < 0 or s > M.DURATION_MAX_S then
    return nil, ("a duration is from 0 to %d s, not %s"):format(M.DURATION_MAX_S // 1, shown(value))
  end
  return s + 0.0
end

--- The size in bytes, an integer; or nil and a sentence.
function M.parse_size(value)
  local bytes = scaled(value, bytes_in, 1)
  if not bytes or bytes ~= bytes then
    return nil, ('a size is bytes (4096) or a text like "64k", "1MiB", not %s'):format(shown(value))
  end
  if bytes < 0 or bytes > M.SIZE_MAX or bytes ~= math.floor(bytes) then
    return nil, ("a size is a whole number of bytes, up to 4 PiB, not %s"):format(shown(value))
  end
  return math.tointeger(bytes)
end

local function raise(what, sentence, level)
  error((what and what .. ": " or "") .. sentence, (level or 1) + 2)
end

function M.duration(value, what, level)
  local s, sentence = M.parse_duration(value)
  return s or raise(what, sentence, level)
end

--- The duration in nanoseconds, an integer.
function M.duration_ns(value, what, level)
  local s, sentence = M.parse_duration(value)
  return s and math.floor(s * 1e9 + 0.5) or raise(what, sentence, level)
end

function M.size(value, what, level)
  local bytes, sentence = M.parse_size(value)
  return bytes or raise(what, sentence, level)
end

--- For reports: "12.3 ms", "1.25 s", "2 min 5 s".
function M.show_duration_ns(ns)
  if ns < 1e6 then
    return ("%.0f us"):format(ns / 1e3)
  elseif ns < 1e9 then
    return ("%.1f ms"):format(ns / 1e6)
  elseif ns < 60e9 then
    return ("%.2f s"):format(ns / 1e9)
  end
  local s = math.floor(ns / 1e9)
  return ("%d min %d s"):format(s // 60, s % 60)
end

return M
