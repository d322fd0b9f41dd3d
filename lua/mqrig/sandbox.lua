-- sandbox: what Lua itself leaves to chance or takes from outside, made the world's own in simulation.
--
-- `install`, once in a process, before the first scenario file is loaded: order for `pairs`, `next` and `table.sort`,
-- names instead of addresses, in the library's own code, too. `adapt` does the rest to the environment of one file.
-- While a scenario runs, between `begin` and `finish`, what reaches outside raises.

local core = require "mqrig.core"
local random = require "mqrig.random"

local M = {}

local DAY_S = 86400

local installed = false
local running -- { refuse=fn(what, why), print=fn(line), began_ns= } while a scenario runs
local rng = random.new(0, "math.random")
local deferred = {} -- metatables of weak tables, and what their mode would be

--- Whether files are loaded for simulation.
function M.is_installed()
  return installed
end

-- Objects among the arguments of string.format, which would be written as addresses.
local function named(format, ...)
  if type(format) == "string" and format:find "%%[-%d]*p" then
    format = format:gsub("%%%%", "\0"):gsub("(%%[-%d]*)p", "%1s"):gsub("%z", "%%%%")
  end
  local values = table.pack(...)
  for i = 1, values.n do
    local kind = type(values[i])
    if kind ~= "number" and kind ~= "string" and kind ~= "boolean" and kind ~= "nil" then
      values[i] = core.text(values[i])
    end
  end
  return format, table.unpack(values, 1, values.n)
end

function M.install()
  if installed then
    return
  end
  installed = true
  local format = string.format
  local function passed(ok, ...)
    if not ok then
      error((...), 3)
    end
    return ...
  end
  pairs, next, tostring = core.pairs, core.next, core.text -- luacheck: ignore 121
  table.sort = core.sort -- luacheck: ignore 122
  string.format = function(...) -- luacheck: ignore 122
    return passed(pcall(format, named(...)))
  end
end

local function refuse(what, why)
  if running then
    running.refuse(what, why)
  end
end

-- Functions of a library that reach outside: they raise while a scenario runs.
local function close_off(library, name, names, why)
  for word in names:gmatch "%S+" do
    local fn = library[word]
    library[word] = function(...)
      refuse(name .. word, why)
      return fn(...)
    end
  end
end

local function files(env)
  close_off(env.io, "io.", "close flush input lines open output popen read tmpfile write", "it has no files")
  local streams = {}
  for _, name in ipairs { "stdin", "stdout", "stderr" } do
    streams[name], env.io[name] = env.io[name], nil
  end
  setmetatable(env.io, {
    __index = function(_, name)
      if streams[name] then
        refuse("io." .. name, "it has no files")
      end
      return streams[name]
    end,
  })
  close_off(env, "", "loadfile dofile", "it has no files")
end

-- Seconds since the epoch of a date, in a world where all clocks show UTC.
local function date_s(date)
  local month = date.month - 1
  local year = date.year + month // 12
  month = month % 12 + 1
  local y = month <= 2 and year - 1 or year
  local era = y // 400
  local day_of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + date.day - 1
  local year_of_era = y - era * 400
  local days = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
  return days * DAY_S + (date.hour or 12) * 3600 + (date.min or 0) * 60 + (date.sec or 0)
end

local function now_s()
  return core.sim.epoch_s + (running and (core.now() - running.began_ns) // 1000000000 or 0)
end

local function check_date(date)
  for _, name in ipairs { "year", "month", "day" } do
    if not math.tointeger(tonumber(date[name])) then
      error(("field '%s' missing in date table"):format(name), 3)
    end
  end
end

local function clocks(env)
  local date = os.date
  env.os.time = function(of)
    if of == nil then
      return now_s()
    end
    check_date(of)
    local seconds = math.tointeger(date_s(of))
    for name, value in next, date("!*t", seconds) do
      of[name] = value
    end
    return seconds
  end
  env.os.date = function(format, seconds)
    format = format or "%c"
    return date(format:sub(1, 1) == "!" and format or "!" .. format, seconds or now_s())
  end
  env.os.clock = function()
    return running and (core.now() - running.began_ns) / 1e9 or 0.0
  end
  close_off(env.os, "os.", "execute getenv remove rename setlocale tmpname", "it has no system around it")
end

local function chance(env)
  env.math.random = function(low, high)
    if low == nil then
      return rng:float()
    elseif low == 0 and high == nil then
      return rng:bits()
    elseif high == nil then
      low, high = 1, low
    end
    low, high = math.tointeger(low), math.tointeger(high)
    if not low or not high then
      error("bad argument to 'random' (number has no integer representation)", 2)
    elseif low > high then
      error("bad argument to 'random' (interval is empty)", 2)
    end
    return rng:integer(low, high)
  end
  env.math.randomseed = function(x, y)
    local a, b = x or rng:bits(), y or 0
    rng = random.new(0, ("%s %s"):format(a, b))
    return math.tointeger(a) or 0, math.tointeger(b) or 0
  end
end

--- setmetatable(t, meta), but what the collector would do at its own time it does not do: finalizers do not run, and
--- weak tables lose what nobody else has in a collection that the scenario asks for, not before.
function M.setmetatable(t, meta)
  if type(meta) ~= "table" then
    return setmetatable(t, meta)
  end
  local finalizer, mode = rawget(meta, "__gc"), rawget(meta, "__mode")
  rawset(meta, "__gc", nil)
  if mode ~= nil then
    deferred[#deferred + 1] = { meta, mode }
    rawset(meta, "__mode", nil)
  end
  local ok, result = pcall(setmetatable, t, meta)
  rawset(meta, "__gc", finalizer)
  if not ok then
    error(result, 2)
  end
  return result
end

local function collect()
  for _, pair in ipairs(deferred) do
    rawset(pair[1], "__mode", pair[2])
  end
  collectgarbage()
  for _, pair in ipairs(deferred) do
    rawset(pair[1], "__mode", nil)
  end
  return 0
end

-- How a scenario would have the collector work. It is told what it told itself, and this process goes on as it is.
local function untuned()
  return { running = true, mode = "incremental", setpause = 200, setstepmul = 100 }
end

local tuning = untuned()

local tune = {
  collect = collect,
  step = function()
    return collect() == 0
  end,
  stop = function()
    tuning.running = false
    return 0
  end,
  restart = function()
    tuning.running = true
    return 0
  end,
  isrunning = function()
    return tuning.running
  end,
}

for _, mode in ipairs { "incremental", "generational" } do
  tune[mode] = function()
    local before = tuning.mode
    tuning.mode = mode
    return before
  end
end

for _, name in ipairs { "setpause", "setstepmul" } do
  tune[name] = function(value)
    local before = tuning[name]
    tuning[name] = math.tointeger(value) or 0
    return before
  end
end

local function collector(env)
  env.setmetatable = M.setmetatable
  env.collectgarbage = function(what, ...)
    what = what or "collect"
    if what == "count" then
      refuse('collectgarbage "count"', "it measures this process")
    end
    local own = tune[what]
    if own then
      return own(...)
    end
    return collectgarbage(what, ...)
  end
end

local function printing(env)
  local write = env.print
  env.print = function(...)
    if not running then
      return write(...)
    end
    local words = table.pack(...)
    for i = 1, words.n do
      words[i] = tostring(words[i])
    end
    running.print(table.concat(words, "\t"))
  end
end

--- The environment of a file that is loaded for simulation.
function M.adapt(env)
  printing(env)
  files(env)
  clocks(env)
  chance(env)
  collector(env)
end

--- A scenario begins. `refuse_(what, why)` raises for what reaches outside, `print_(line)` takes what it prints.
function M.begin(seed, refuse_, print_)
  running = { refuse = refuse_, print = print_, began_ns = core.now() }
  rng = random.new(seed, "math.random")
  deferred, tuning = {}, untuned()
  core.forget_names()
end

function M.finish()
  running = nil
end

return M
