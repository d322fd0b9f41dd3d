-- registry: what a scenario file declares while it loads.
--
-- `begin(file)` opens a collector, `rig.scenario(...)` (add) puts scenarios into it, `finish()` hands them over:
-- { name=, file=, line=, last_line=, body_line=, body_last_line=, tags={}, clause={}, timeout_s=, net=, broker=,
-- transport=, seed=, params={}, fn= }.
-- `line` is where the file says so at its outermost level, so that a family made by a function of the file is told
-- apart by the lines that call it; the body's lines are those of the scenario's function.

local near = require "mqrig.near"
local transport = require "mqrig.transport"
local units = require "mqrig.units"

local M = {}

M.SCENARIOS_MAX = 100000 -- in one file
M.NAME_MAX = 400 -- bytes

local collector

-- Each takes the value and the option's name, returns what is kept or nil and a sentence.
local function list_of_texts(value, what)
  local list = type(value) == "table" and value or { value }
  for i, item in ipairs(list) do
    if type(item) ~= "string" or item == "" or item:find "[%c,]" then
      return nil, ("%s is a text or a list of texts without commas, item %d is not"):format(what, i)
    end
  end
  if #list == 0 and next(list) ~= nil then
    return nil, what .. " is a text or a list of texts"
  end
  return table.move(list, 1, #list, 1, {})
end

local function one_of(names)
  return function(value, what)
    for _, name in ipairs(names) do
      if value == name then
        return value
      end
    end
    local hint = near.suggest(value, names) or ("known: " .. table.concat(names, ", "))
    return nil, ('%s = "%s" is not known, %s'):format(what, tostring(value), hint)
  end
end

local options_known = {
  tags = list_of_texts,
  clause = list_of_texts,
  net = one_of { "real", "sim" },
  broker = one_of { "builtin", "mosquitto" },
  transport = one_of(transport.names),
  timeout = function(value, what)
    local s, sentence = units.parse_duration(value)
    if s == 0 then
      return nil, what .. " is 0: no scenario can end in no time"
    end
    return s, sentence and what .. ": " .. sentence
  end,
  seed = function(value, what)
    if math.type(value) ~= "integer" or value < 0 then
      return nil, what .. " is a whole number from 0"
    end
    return value
  end,
  params = function(value, what)
    if type(value) ~= "table" then
      return nil, what .. " is a table of names and default values"
    end
    return value
  end,
}

-- 3: whoever called add.
local function raise(format, ...)
  error(format:format(...), 3)
end

-- The line in the main chunk of the file, else the line of whoever called add.
local function find_line(file)
  local line
  for level = 3, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      break
    end
    if info.what == "main" and info.source == "@" .. file then
      return info.currentline
    end
    line = line or (info.currentline > 0 and info.currentline)
  end
  return line or 0
end

local function check_name(name)
  if type(name) ~= "string" or name == "" then
    return "scenario(name [, options], function): the name is a text that is not empty"
  elseif #name > M.NAME_MAX then
    return ("a scenario's name has at most %d bytes, this has %d"):format(M.NAME_MAX, #name)
  elseif name:find "%c" or not utf8.len(name) then
    return "a scenario's name is one line of UTF-8 text"
  end
end

local function check_arguments(options, fn)
  if type(fn) ~= "function" then
    return ("scenario(name [, options], function): the last argument is a %s"):format(type(fn))
  elseif type(options) ~= "table" then
    return ("scenario(name [, options], function): options is a table, not a %s"):format(type(options))
  end
end

local function keep_body(entry, fn)
  local info = debug.getinfo(fn, "S")
  entry.fn, entry.last_line = fn, entry.line
  if info.source == "@" .. entry.file then
    entry.body_line, entry.body_last_line = info.linedefined, info.lastlinedefined
    if info.linedefined >= entry.line then
      entry.last_line = info.lastlinedefined
    end
  end
end

-- The entry with the faults and the settings of `explored`.
local function under_faults(entry, explored)
  local run, options = require("mqrig.explore.workload").under_faults(entry.fn), explored.options
  entry.fn = function(t)
    run(t, explored.case)
  end
  entry.net, entry.seed, entry.timeout_s = options.net, options.seed, options.timeout
  for key, value in pairs(options.params or {}) do
    entry.params[key] = value
  end
  return entry
end

--- rig.scenario(name [, options], fn)
function M.add(name, options, fn)
  if fn == nil and type(options) == "function" then
    options, fn = {}, options
  end
  if not collector then
    raise "scenario(...) declares: it can be called only while a scenario file loads, not inside a scenario"
  end
  local wrong = check_name(name) or check_arguments(options or {}, fn)
  if wrong then
    raise("%s", wrong)
  end
  near.check(options or {}, options_known, ('scenario "%s"'):format(name), 2)
  local entry = { name = name, file = collector.file, line = find_line(collector.file) }
  entry.tags, entry.clause, entry.params = {}, {}, {}
  for _, key in ipairs(near.keys(options or {})) do
    local value, sentence = options_known[key](options[key], key)
    if value == nil then
      raise('scenario "%s": %s', name, sentence)
    end
    entry[key == "timeout" and "timeout_s" or key] = value
  end
  keep_body(entry, fn)
  local first = collector.lines[name]
  if first then
    raise('two scenarios of this file are called "%s": on line %d and on line %d', name, first, entry.line)
  elseif #collector.list >= M.SCENARIOS_MAX then
    raise("a file holds at most %d scenarios", M.SCENARIOS_MAX)
  end
  collector.lines[name] = entry.line
  if not collector.explored then
    collector.list[#collector.list + 1] = entry
  elseif collector.explored.name == name then
    collector.list[1] = under_faults(entry, collector.explored)
  end
end

local explored_known = { "net", "params", "seed", "timeout" }

--- rig.explored(name, options, lines): of the file's scenarios only that one, as `mqrig explore` has run it.
function M.explored(name, options, lines)
  local case, sentence = require("mqrig.explore.case").parse(require("mqrig.text").lines(lines))
  if not collector or #collector.list > 0 then
    error("rig.explored(...) stands at the beginning of a scenario file", 2)
  elseif not case then
    error("rig.explored: " .. sentence, 2)
  end
  near.check(options, explored_known, "rig.explored", 2)
  local kept = {}
  for _, key in ipairs(near.keys(options)) do
    kept[key], sentence = options_known[key](options[key], key)
    if kept[key] == nil then
      error("rig.explored: " .. sentence, 2)
    end
  end
  collector.explored = { name = name, options = kept, case = case }
end

function M.begin(file)
  collector = { file = file, list = {}, lines = {} }
end

function M.finish()
  local list = collector and collector.list or {}
  collector = nil
  return list
end

return M
