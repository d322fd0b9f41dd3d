-- json: JSON lines, one object an event, its name in "event".

local dkjson = require "dkjson"
local near = require "mqrig.near"
local select_ = require "mqrig.select"
local text = require "mqrig.text"

local M = {}
local Reporter = {}
Reporter.__index = Reporter

function M.new(sink)
  return setmetatable({ sink = sink }, Reporter)
end

local DEPTH_MAX = 16

-- A copy that JSON can hold: text is UTF-8, no functions, no endless depth. Arrays stay arrays also when empty.
local function clean(value, depth)
  if type(value) == "string" then
    return text.printable(value, "\n\t")
  elseif type(value) == "table" and depth < DEPTH_MAX then
    local copy = {}
    for key, item in pairs(value) do
      if type(key) == "string" then
        key = text.printable(key)
      end
      copy[key] = clean(item, depth + 1)
    end
    return copy
  elseif type(value) == "number" or type(value) == "boolean" then
    return value
  end
end

local function array(list)
  return setmetatable(list, { __jsontype = "array" })
end

-- All keys of a value, at any depth.
local function collect_keys(value, keys, depth)
  if type(value) == "table" and depth < DEPTH_MAX then
    for key, item in pairs(value) do
      if type(key) == "string" then
        keys[key] = true
      end
      collect_keys(item, keys, depth + 1)
    end
  end
end

-- The same event is the same line always: first what tells them apart, then the rest by the alphabet.
local function key_order(data)
  local keys, order = {}, { "event", "file", "line", "name", "verdict" }
  collect_keys(data, keys, 0)
  for _, key in ipairs(order) do
    keys[key] = nil
  end
  local rest = near.keys(keys)
  return table.move(rest, 1, #rest, #order + 1, order)
end

local function emit(self, event, data)
  data.event = event
  local order = key_order(data)
  self.sink:write(dkjson.encode(data, { keyorder = order }), "\n")
end

local function about(scenario)
  return {
    name = text.printable(scenario.name), file = text.printable(scenario.file), line = scenario.line,
    full_name = text.printable(select_.full_name(scenario)),
    tags = array(clean(scenario.tags, 0)), clause = array(clean(scenario.clause, 0)),
  }
end

function Reporter:run_begin(e)
  emit(self, "run_begin", clean(e, 0))
end

function Reporter:file_error(e)
  emit(self, "file_error", clean(e, 0))
end

function Reporter:scenario_begin(e)
  local data = about(e.scenario)
  data.round = e.round
  emit(self, "scenario_begin", data)
end

function Reporter:scenario_end(e)
  local data, result = about(e.scenario), clean(e.result, 0)
  data.round, data.seed, data.number, data.again = e.round, e.seed, e.number, e.again
  for key, value in pairs(result) do
    data[key] = value
  end
  data.logs = array(data.logs or {})
  emit(self, "scenario_end", data)
end

function Reporter:run_end(e)
  emit(self, "run_end", {
    passed = e.passed, failed = e.failed, skipped = e.skipped, file_errors = e.file_errors, not_run = e.not_run,
    duration_ns = e.duration_ns, ended = e.ended,
  })
end

return M
