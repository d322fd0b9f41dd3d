-- checks: is a value of a setting one that it can have? Each takes the value as it came, a text or what a settings file
-- gives, and returns what is kept, or nil and a sentence that follows the name of the setting.

local core = require "mqrig.core"
local near = require "mqrig.near"
local units = require "mqrig.units"

local M = {}

M.JOBS_MAX = 256

function M.text(value)
  if type(value) == "string" and value ~= "" then
    return value
  end
  return nil, "needs a text"
end

function M.whole(low, high)
  return function(value)
    local n = math.tointeger(tonumber(value))
    if n and n >= low and n <= high then
      return n
    end
    return nil, ("needs a whole number from %d to %s, not %s"):format(low, high == math.maxinteger and "2^63 - 1"
      or tostring(high), tostring(value))
  end
end

function M.choice(...)
  local names = { ... }
  return function(value)
    for _, name in ipairs(names) do
      if tostring(value) == name then
        return name
      end
    end
    local hint = near.suggest(value, names)
    return nil, ('is one of %s, not "%s"%s'):format(table.concat(names, ", "), tostring(value),
      hint and ", " .. hint or "")
  end
end

function M.duration(value)
  local s, sentence = units.parse_duration(value)
  if s == 0 then
    return nil, "needs more than no time"
  end
  return s, sentence and "needs a duration: " .. sentence
end

function M.jobs(value)
  if value == "auto" then
    return core.cores()
  end
  local n = M.whole(1, M.JOBS_MAX)(value)
  if n then
    return n
  end
  return nil, ('needs a number from 1 to %d, or auto, not "%s"'):format(M.JOBS_MAX, tostring(value))
end

function M.shard(value)
  local index, of = tostring(value):match "^(%d+)/(%d+)$"
  index, of = math.tointeger(tonumber(index)), math.tointeger(tonumber(of))
  if index and of and index >= 1 and index <= of then
    return { index = index, of = of }
  end
  return nil, ('needs I/N with I from 1 to N, as in 2/5, not "%s"'):format(tostring(value))
end

local formats = { "pretty", "tap", "junit", "json" }

function M.report(value)
  local format, file = tostring(value):match "^([^:]*):?(.*)$"
  local known, sentence = M.choice(table.unpack(formats))(format)
  if not known then
    return nil, sentence
  elseif tostring(value):find "^[^:]*:$" then
    return nil, ('names no file after "%s:"'):format(format)
  end
  return { format = format, file = file ~= "" and file or nil }
end

function M.broker(value)
  if value == "builtin" or value == "mosquitto" then
    return value
  elseif type(value) == "string" and value:find "^%a[%w+.-]*:" then
    local url, sentence = core.url_check(value)
    if url then
      return value
    end
    return nil, ('is a bad URL, "%s": %s'):format(value, sentence)
  end
  local hint = near.suggest(value, { "builtin", "mosquitto" })
  return nil, ('is builtin, mosquitto, or a URL such as tcp://host:1883, not "%s"%s'):format(tostring(value),
    hint and ", " .. hint or "")
end

local versions = { ["3.1.1"] = "3.1.1", ["4"] = "3.1.1", ["5"] = "5", ["5.0"] = "5" }

function M.version(value)
  local known = versions[tostring(value)]
  if known == "5" then
    return nil, "5: this build speaks MQTT 3.1.1 only"
  end
  return known, not known and ('is 3.1.1 or 5, not "%s"'):format(tostring(value)) or nil
end

M.net = M.choice("real", "sim")

function M.rule(value)
  local canonical, sentence = core.rule_check(tostring(value))
  return canonical, sentence and ('"%s" is no rule: %s'):format(tostring(value), sentence)
end

--- One of the mistakes that mqrig's own client and broker can be told to make.
function M.defect(value)
  local names = {}
  for i, defect in ipairs(core.defects()) do
    names[i] = defect.name
  end
  return M.choice(table.unpack(names))(value)
end

function M.param(value)
  local key, v = tostring(value):match "^([%a_][%w_]*)=(.*)$"
  if not key then
    return nil, ('needs NAME=VALUE, not "%s"'):format(tostring(value))
  end
  return { key, v }
end

function M.tag(value)
  if type(value) == "string" and value:find "^!?[^!,%c]+$" then
    return value
  end
  return nil, ('needs tags, as in A,!B, not "%s"'):format(tostring(value))
end

function M.size(value)
  local bytes, sentence = units.parse_size(value)
  if bytes and bytes > 0 and bytes < 4 << 20 then
    return nil, "needs 4 MiB at least, or 0 for no limit"
  end
  return bytes, sentence and "needs a size: " .. sentence
end

local yes = { ["1"] = true, ["true"] = true, yes = true, on = true }
local no = { ["0"] = true, ["false"] = true, no = true, off = true, [""] = true }

function M.flag(value)
  if type(value) == "boolean" then
    return value
  end
  local word = tostring(value):lower()
  if yes[word] or no[word] then
    return yes[word] or false
  end
  return nil, ('is true or false, not "%s"'):format(tostring(value))
end

return M
