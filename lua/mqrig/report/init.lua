-- report: the reports of a run, all fed by the same events.
--
--   run_begin     { version, seed, broker, net, mqtt, jobs, total (nil: not known), wall_clock_s }
--   file_error    { file, line, message, traceback }
--   scenario_begin{ scenario, round }
--   scenario_end  { scenario, round, rounds, number, seed, result, again }
--   run_end       { passed, failed, skipped, file_errors, not_run, duration_ns, ended (nil, "interrupted", "timeout"),
--                   failures }
--
-- A reporter is a module with `new(sink, options)`, whose result has a method for each event that it wants.

local core = require "mqrig.core"
local sink = require "mqrig.report.sink"

local M = {}

local modules = {
  pretty = "mqrig.report.pretty",
  tap = "mqrig.report.tap",
  junit = "mqrig.report.junit",
  json = "mqrig.report.json",
}

--- Whether to use colours on a stream: the setting decides, then NO_COLOR, then CLICOLOR_FORCE, then the terminal.
function M.colored(setting, descriptor, getenv)
  if setting ~= "auto" then
    return setting == "always"
  elseif (getenv "NO_COLOR" or "") ~= "" then
    return false
  end
  local force = getenv "CLICOLOR_FORCE" or ""
  if force ~= "" then
    return force ~= "0"
  end
  return core.is_terminal(descriptor)
end

local function options_of(one, settings)
  local terminal = one.file == nil
  return {
    color = (terminal or settings.color == "always") and M.colored(settings.color, 1, os.getenv),
    verbose = settings.verbose,
    quiet = settings.quiet,
  }
end

local Reports = {}
Reports.__index = Reports

--- Opens all reports of the settings; nil and a sentence if one cannot be written.
function M.open(settings)
  local list = {}
  for _, one in ipairs(settings.report) do
    local out, sentence = sink.open(one.file)
    if not out then
      return nil, sentence
    end
    list[#list + 1] = { sink = out, reporter = require(modules[one.format]).new(out, options_of(one, settings)) }
  end
  return setmetatable({ list = list }, Reports)
end

function Reports:event(name, data)
  for _, one in ipairs(self.list) do
    local method = one.reporter[name]
    if method then
      method(one.reporter, data)
      one.sink:flush()
    end
  end
end

--- Closes them; the sentences about those that are not complete.
function Reports:close()
  local sentences = {}
  for _, one in ipairs(self.list) do
    sentences[#sentences + 1] = one.sink:close()
  end
  return sentences
end

return M
