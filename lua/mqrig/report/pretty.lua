-- pretty: for people. A line a scenario, a screen a failure, the count at the end.

local select_ = require "mqrig.select"
local text = require "mqrig.text"
local units = require "mqrig.units"

local M = {}
local Reporter = {}
Reporter.__index = Reporter

M.COLUMNS = 100
M.LINES = 24 -- of one failure
M.TIMELINE_LINES_MIN = 6
M.SLOW_NS = 1000000000 -- from here on a scenario's line tells its time
M.AGAIN_MAX = 10 -- failures listed once more at the end

local codes = { red = "31;1", green = "32", yellow = "33", dim = "2", bold = "1" }

function M.new(sink, options)
  local self = { sink = sink, color = options.color, verbose = options.verbose, quiet = options.quiet }
  return setmetatable(self, Reporter)
end

local function paint(self, color, s)
  return self.color and color and ("\27[%sm%s\27[0m"):format(codes[color], s) or s
end

local function whole_line(self, s, color)
  self.sink:write(paint(self, color, text.printable(s)), "\n")
end

local function line(self, s, color)
  whole_line(self, text.cut(text.printable(s), M.COLUMNS), color)
end

function Reporter:run_begin(e)
  line(self, ("mqrig %s, seed %d, broker %s, network %s, jobs %d"):format(e.version, e.seed, e.broker, e.net, e.jobs))
end

-- The text of one line of a file, or nil.
local function source_line(file, number)
  local handle = file and number and io.open(file, "rb")
  if not handle then
    return nil
  end
  local count = 0
  for s in handle:lines() do
    count = count + 1
    if count == number then
      handle:close()
      return s
    end
  end
  handle:close()
end

local function location(file, number)
  return number and ("%s:%d"):format(file, number) or file
end

-- The first `most` lines of a message, none longer than `columns`.
local function wrapped(message, most, columns)
  local lines = {}
  for _, s in ipairs(text.lines(message)) do
    for _, piece in ipairs(text.wrap(text.printable(s), columns)) do
      if #lines < most then
        lines[#lines + 1] = piece
      end
    end
  end
  return lines
end

function Reporter:file_error(e)
  line(self, ("did not load  %s"):format(e.file), "red")
  line(self, "  " .. location(e.file, e.line))
  for _, s in ipairs(wrapped(e.message, 8, M.COLUMNS - 4)) do
    line(self, "    " .. s)
  end
  local source = source_line(e.file, e.line)
  if source then
    line(self, ("  %d | %s"):format(e.line, source:gsub("\t", "  ")))
  end
end

-- Two long texts, cut so that the place where they begin to differ can be seen.
local function windows(a, b, columns)
  if #a <= columns and #b <= columns then
    return a, b
  end
  local at = 1
  while at <= #a and a:byte(at) == b:byte(at) do
    at = at + 1
  end
  local from = at - columns // 3
  if from <= 4 then
    return text.cut(a, columns), text.cut(b, columns)
  end
  local function window(s)
    local begin = math.min(from, #s)
    while begin > 1 and s:byte(begin) and s:byte(begin) >= 0x80 and s:byte(begin) < 0xc0 do
      begin = begin - 1
    end
    return text.cut("..." .. s:sub(begin), columns)
  end
  return window(a), window(b)
end

-- At most four lines of a traceback; none where it only says again where the failure is.
local function callers(traceback, here)
  local lines = {}
  for _, s in ipairs(text.lines(traceback)) do
    if #lines < 4 and not s:find "^stack traceback" and not s:find("[C]", 1, true) then
      lines[#lines + 1] = s:gsub("^%s+", "")
    end
  end
  return #lines == 1 and lines[1]:sub(1, #here + 1) == here .. ":" and {} or lines
end

-- Lines of the failure before and after the timeline, each { text, color }.
local function head(failure, scenario)
  local lines = {}
  local function add(s, color)
    lines[#lines + 1] = { s, color }
  end
  local file, number = failure.file or scenario.file, failure.line or scenario.line
  local source = failure.source or source_line(file, number)
  add(("  %s"):format(location(file, number)))
  if source then
    add("    " .. source:gsub("^%s+", ""):gsub("\t", "  "), "bold")
  end
  local has_values = failure.expected ~= nil or failure.got ~= nil
  for _, s in ipairs(wrapped(failure.message or "failed without a message", has_values and 2 or 6, M.COLUMNS - 2)) do
    add("  " .. s)
  end
  if has_values then
    local expected, got = text.printable(failure.expected or "(nothing)"), text.printable(failure.got or "(nothing)")
    expected, got = windows(expected, got, M.COLUMNS - 12)
    add("  expected  " .. expected, "green")
    add("  got       " .. got, "red")
  elseif failure.traceback then
    for _, s in ipairs(callers(failure.traceback, location(file, number))) do
      add("    " .. s, "dim")
    end
  end
  return lines
end

local function tail(failure, again)
  local lines = {}
  for i, file in ipairs(failure.files or {}) do
    if i <= 3 then
      lines[#lines + 1] = { (i == 1 and "  written   " or "            ") .. file, whole = true }
    end
  end
  if again then
    lines[#lines + 1] = { "  again     " .. again, whole = true }
  end
  return lines
end

-- The lines that one of the timeline takes. A packet is cut at the edge; how a connection ended, and what is noted of
-- it, is told to the end.
local function pieces(s)
  s = text.printable((s:gsub("\t", "  ")))
  local at = s:match "^%s*[%d.]+ ms  ()%S+ ended " or s:match "^%s*[%d.]+ ms  ()%S+ %-%- "
  if not at then
    return { s }
  end
  local list = text.wrap(s:sub(at), M.COLUMNS - at - 5)
  for i, piece in ipairs(list) do
    list[i] = i == 1 and s:sub(1, at - 1) .. piece or (" "):rep(at + 1) .. piece
  end
  return list
end

-- The newest of a list of lines that fit, under a heading.
local function newest(lines, heading, list, most)
  if not list or #list == 0 or most < 2 then
    return
  end
  local chosen, from = {}, #list + 1
  while from > 1 do
    local these = pieces(list[from - 1])
    if #chosen > 0 and #chosen + #these > most - 1 then
      break
    end
    from = from - 1
    table.move(chosen, 1, #chosen, #these + 1)
    table.move(these, 1, #these, 1, chosen)
  end
  local which = from > 1 and (", the last %d lines"):format(#list - from + 1) or ""
  lines[#lines + 1] = { ("  %s%s:"):format(heading, which) }
  for _, s in ipairs(chosen) do
    lines[#lines + 1] = { "    " .. s, "dim" }
  end
end

function M.failure_lines(e, verbose)
  local failure, logs = e.result.failure or {}, e.result.logs or {}
  local lines, last = head(failure, e.scenario), tail(failure, e.again)
  local free = M.LINES - 1 - #lines - #last
  local log_lines = math.min(#logs + 1, math.max(4, free - M.TIMELINE_LINES_MIN - #(failure.timeline or {})), free // 2)
  log_lines = #logs == 0 and 0 or (verbose and #logs + 1 or math.min(log_lines, 8))
  newest(lines, "before it", failure.timeline, verbose and math.huge or free - log_lines)
  newest(lines, "logs and output", logs, log_lines)
  table.move(last, 1, #last, #lines + 1, lines)
  return lines
end

local function name_of(e)
  local name = select_.full_name(e.scenario)
  return (e.rounds or 1) ~= 1 and ("%s (run %d)"):format(name, e.round) or name
end

local function slow(result)
  local ns = result.duration_ns or 0
  return ns >= M.SLOW_NS and (" (%s)"):format(units.show_duration_ns(ns)) or ""
end

local function show_failure(self, e)
  whole_line(self, "FAILED   " .. name_of(e) .. slow(e.result), "red")
  for _, one in ipairs(M.failure_lines(e, self.verbose)) do
    if one.whole then
      whole_line(self, one[1]) -- it is there to be copied
    else
      line(self, one[1], one[2])
    end
  end
end

function Reporter:scenario_end(e)
  local result = e.result
  if result.verdict == "failed" then
    show_failure(self, e)
    return
  elseif self.quiet then
    return
  end
  if result.verdict == "skipped" then
    whole_line(self, ("skipped  %s: %s"):format(name_of(e), result.reason or "no reason given"), "yellow")
  else
    whole_line(self, "passed   " .. name_of(e) .. slow(result), "green")
  end
  for _, s in ipairs(self.verbose and result.logs or {}) do
    line(self, "    " .. s:gsub("\t", "  "), "dim")
  end
end

local function show_ends(self, e)
  if e.ended then
    local what = e.ended == "timeout" and "the run's time was up" or "interrupted"
    line(self, ("%s: %d not run"):format(what, e.not_run), "yellow")
  elseif e.not_run > 0 then
    line(self, ("%s%d not run"):format(e.failed > 0 and "stopped after the first failure: " or "", e.not_run), "yellow")
  end
  if e.file_errors > 0 then
    line(self, ("%d file%s did not load"):format(e.file_errors, e.file_errors == 1 and "" or "s"), "red")
  end
end

function Reporter:run_end(e)
  if e.failed > 1 and not self.quiet then
    line(self, "failed:")
    for i, failed in ipairs(e.failures) do
      if i <= M.AGAIN_MAX then
        local scenario = failed.scenario
        local run = failed.round and (" (run %d)"):format(failed.round) or ""
        whole_line(self, ("  %s  %s%s"):format(location(scenario.file, scenario.line), scenario.name, run))
      end
    end
    if #e.failures > M.AGAIN_MAX then
      line(self, ("  and %d more"):format(#e.failures - M.AGAIN_MAX))
    end
  end
  show_ends(self, e)
  local count = ("%d passed, %d failed, %d skipped"):format(e.passed, e.failed, e.skipped)
  line(self, count, (e.failed > 0 or e.file_errors > 0) and "red" or "green")
end

return M
