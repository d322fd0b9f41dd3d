-- mqrig list: what would run.

local dkjson = require "dkjson"
local flags = require "mqrig.flags"
local runner = require "mqrig.runner"
local text = require "mqrig.text"

local M = { summary = "show the scenarios of files" }

function M.configure(parser)
  parser:description "Shows the scenarios that `mqrig run` with the same arguments would run, one a line. Runs none."
  parser:argument("path", "PATH or PATH:LINE (default scenarios/)"):args "*"
  parser:flag("--json", "JSON lines")
  flags.add(parser)
end

local function show_text(scenario)
  local marks = {}
  for _, tag in ipairs(scenario.tags) do
    marks[#marks + 1] = tag
  end
  for _, clause in ipairs(scenario.clause) do
    marks[#marks + 1] = clause
  end
  io.write(("%s:%d: %s%s\n"):format(scenario.file, scenario.line, text.printable(scenario.name),
    #marks > 0 and " [" .. text.printable(table.concat(marks, ", ")) .. "]" or ""))
end

local function show_json(scenario)
  local function array(list)
    return setmetatable(list, { __jsontype = "array" })
  end
  io.write(dkjson.encode({
    file = text.printable(scenario.file), line = scenario.line, name = scenario.name, tags = array(scenario.tags),
    clause = array(scenario.clause), timeout_s = scenario.timeout_s, net = scenario.net, broker = scenario.broker,
    transport = scenario.transport,
  }, { keyorder = { "file", "line", "name" } }), "\n")
end

--- Shows them and returns the exit status.
function M.show(paths, settings, as_json)
  settings.seed = settings.seed or runner.new_seed()
  local collected, sentence, status = runner.collect(paths, settings)
  if not collected then
    runner.complain(sentence)
    return status
  end
  for _, scenario in ipairs(collected.selected) do
    if as_json then
      show_json(scenario)
    else
      show_text(scenario)
    end
  end
  for _, problem in ipairs(collected.errors) do
    runner.complain_about_file(problem)
  end
  if #collected.errors > 0 then
    return runner.NOT_LOADED
  elseif #collected.selected == 0 then
    runner.complain("nothing selected: " .. collected.nothing)
    return settings.no_tests == "pass" and runner.PASSED or runner.NOTHING
  end
  return runner.PASSED
end

function M.run(arguments)
  local settings, sentence = flags.resolve(arguments)
  if not settings then
    return nil, sentence
  end
  return M.show(arguments.path, settings, arguments.json)
end

return M
