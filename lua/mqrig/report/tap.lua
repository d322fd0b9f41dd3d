-- tap: the Test Anything Protocol, version 14, with YAML diagnostics.

local dkjson = require "dkjson"
local select_ = require "mqrig.select"
local text = require "mqrig.text"

local M = {}
local Reporter = {}
Reporter.__index = Reporter

function M.new(sink, options)
  return setmetatable({ sink = sink, verbose = options.verbose, number = 0 }, Reporter)
end

-- A description: one line, "#" and "\" escaped, since "#" begins a directive.
local function description(s)
  return (text.printable(s):gsub("[\\#]", "\\%0"))
end

-- A JSON string of printable text is a YAML double-quoted scalar.
local function scalar(value)
  if type(value) == "number" then
    return tostring(value)
  end
  return dkjson.quotestring(text.printable(value, "\n\t"))
end

local function yaml(self, fields)
  self.sink:write "  ---\n"
  for _, field in ipairs(fields) do
    local key, value = field[1], field[2]
    if type(value) == "table" and #value > 0 then
      self.sink:write("  ", key, ":\n")
      for _, item in ipairs(value) do
        self.sink:write("    - ", scalar(item), "\n")
      end
    elseif type(value) == "string" or type(value) == "number" then
      self.sink:write("  ", key, ": ", scalar(value), "\n")
    end
  end
  self.sink:write "  ...\n"
end

local function point(self, ok, name, directive)
  self.number = self.number + 1
  self.sink:write(ok and "ok " or "not ok ", tostring(self.number), " - ", description(name), directive or "", "\n")
end

function Reporter:run_begin(e)
  self.sink:write("TAP version 14\n")
  if e.total then
    self.sink:write("1..", tostring(e.total), "\n")
    self.planned = true
  end
  self.sink:write(("# mqrig %s, seed %d, broker %s, network %s, jobs %d\n"):format(e.version, e.seed, e.broker, e.net,
    e.jobs))
end

function Reporter:file_error(e)
  point(self, false, e.file .. " did not load")
  yaml(self, { { "message", e.message }, { "severity", "error" }, { "file", e.file }, { "line", e.line } })
end

local function name_of(e)
  local name = select_.full_name(e.scenario)
  return (e.rounds or 1) ~= 1 and ("%s (run %d)"):format(name, e.round) or name
end

function Reporter:scenario_end(e)
  local result, failure = e.result, e.result.failure or {}
  if result.verdict == "failed" then
    point(self, false, name_of(e))
    yaml(self, {
      { "message", failure.message }, { "severity", "fail" }, { "expected", failure.expected }, { "got", failure.got },
      { "file", failure.file or e.scenario.file }, { "line", failure.line or e.scenario.line },
      { "source", failure.source },
      { "duration_ms", result.duration_ns and math.floor(result.duration_ns / 1e6 + 0.5) },
      { "timeline", failure.timeline }, { "logs", result.logs }, { "again", e.again }, { "files", failure.files },
    })
  elseif result.verdict == "skipped" then
    point(self, true, name_of(e), " # SKIP " .. description(result.reason or ""))
  else
    point(self, true, name_of(e))
    for _, line in ipairs(self.verbose and result.logs or {}) do
      self.sink:write("# ", text.printable(line), "\n")
    end
  end
end

function Reporter:run_end(e)
  if e.ended then
    self.sink:write("Bail out! ", e.ended == "timeout" and "the run's time was up" or "interrupted", "\n")
  end
  if not self.planned then
    self.sink:write("1..", tostring(self.number), "\n")
  end
end

return M
