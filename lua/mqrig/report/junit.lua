-- junit: JUnit XML as CI servers read it. Written whole at the end of the run, one suite a file.

local text = require "mqrig.text"

local M = {}
local Reporter = {}
Reporter.__index = Reporter

function M.new(sink)
  return setmetatable({ sink = sink, suites = {}, of_file = {} }, Reporter)
end

local entities = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;", ["\t"] = "&#9;",
}

-- XML 1.0 has no way to write most control characters: text.printable makes them visible.
local function attribute(value)
  return (text.printable(value, "\n\t"):gsub('[&<>"\n\t]', entities))
end

local function content(value)
  return (text.printable(value, "\n\t"):gsub("[&<>]", entities))
end

local function seconds(ns)
  return ("%.6f"):format((ns or 0) / 1e9)
end

local function suite_of(self, file)
  local suite = self.of_file[file]
  if not suite then
    suite = { file = file, cases = {}, failed = 0, errors = 0, skipped = 0, duration_ns = 0 }
    self.of_file[file], self.suites[#self.suites + 1] = suite, suite
  end
  return suite
end

local function add(self, file, case)
  table.insert(suite_of(self, file).cases, case)
end

function Reporter:run_begin(e)
  self.begin = e
end

function Reporter:file_error(e)
  local suite = suite_of(self, e.file)
  suite.errors = suite.errors + 1
  add(self, e.file, { name = "(load)", line = e.line, element = "error", message = e.message, type = "load",
    body = e.message .. (e.traceback and "\n" .. e.traceback or "") })
end

local function failure_body(e)
  local f, lines = e.result.failure or {}, {}
  local function line(label, value)
    if value then
      lines[#lines + 1] = label .. tostring(value)
    end
  end
  line("", f.message)
  line("at        ", f.file and f.file .. ":" .. (f.line or "?"))
  line("source    ", f.source)
  line("expected  ", f.expected)
  line("got       ", f.got)
  for _, entry in ipairs(f.timeline or {}) do
    line("  ", entry)
  end
  line("again     ", e.again)
  for _, file in ipairs(f.files or {}) do
    line("file      ", file)
  end
  line("", f.traceback)
  return table.concat(lines, "\n")
end

function Reporter:scenario_end(e)
  local scenario, result = e.scenario, e.result
  local suite = suite_of(self, scenario.file)
  local name = (e.rounds or 1) ~= 1 and ("%s (run %d)"):format(scenario.name, e.round) or scenario.name
  local case = { name = name, line = scenario.line, duration_ns = result.duration_ns, logs = result.logs }
  suite.duration_ns = suite.duration_ns + (result.duration_ns or 0)
  if result.verdict == "failed" then
    suite.failed = suite.failed + 1
    case.element, case.type = "failure", "failed"
    case.message, case.body = (result.failure or {}).message or "failed", failure_body(e)
  elseif result.verdict == "skipped" then
    suite.skipped = suite.skipped + 1
    case.element, case.message = "skipped", result.reason or ""
  end
  add(self, scenario.file, case)
end

local function write_case(out, suite, case)
  out:write(('    <testcase classname="%s" name="%s" file="%s"'):format(attribute(suite.file), attribute(case.name),
    attribute(suite.file)))
  out:write(case.line and (' line="%d"'):format(case.line) or "", (' time="%s"'):format(seconds(case.duration_ns)))
  local logs = case.logs and #case.logs > 0 and table.concat(case.logs, "\n")
  if not case.element and not logs then
    out:write "/>\n"
    return
  end
  out:write ">\n"
  if case.element then
    out:write(('      <%s message="%s"'):format(case.element, attribute(case.message)))
    out:write(case.type and (' type="%s"'):format(case.type) or "")
    out:write(case.body and (">%s</%s>\n"):format(content(case.body), case.element) or "/>\n")
  end
  if logs then
    out:write("      <system-out>", content(logs), "</system-out>\n")
  end
  out:write "    </testcase>\n"
end

local function write_suite(self, suite)
  local out, begin = self.sink, self.begin
  out:write(('  <testsuite name="%s" tests="%d" failures="%d" errors="%d" skipped="%d" time="%s"'):format(
    attribute(suite.file), #suite.cases, suite.failed, suite.errors, suite.skipped, seconds(suite.duration_ns)))
  out:write((' timestamp="%s">\n'):format(os.date("!%Y-%m-%dT%H:%M:%S", math.floor(begin.wall_clock_s))))
  out:write "    <properties>\n"
  for _, key in ipairs { "version", "seed", "broker", "net", "mqtt", "jobs" } do
    out:write(('      <property name="%s" value="%s"/>\n'):format(key, attribute(begin[key])))
  end
  out:write "    </properties>\n"
  for _, case in ipairs(suite.cases) do
    write_case(out, suite, case)
  end
  out:write "  </testsuite>\n"
end

function Reporter:run_end(e)
  local out = self.sink
  out:write '<?xml version="1.0" encoding="UTF-8"?>\n'
  out:write(('<testsuites name="mqrig" tests="%d" failures="%d" errors="%d" skipped="%d" time="%s">\n'):format(
    e.passed + e.failed + e.skipped + e.file_errors, e.failed, e.file_errors, e.skipped, seconds(e.duration_ns)))
  for _, suite in ipairs(self.suites) do
    write_suite(self, suite)
  end
  out:write "</testsuites>\n"
end

return M
