-- mqrig run: runs scenario files.

local flags = require "mqrig.flags"
local list = require "mqrig.verb.list"
local runner = require "mqrig.runner"
local text = require "mqrig.text"

local M = { summary = "run scenario files" }

function M.configure(parser)
  parser:description(text.flow [[
Runs the scenarios of the files and directories named (default: scenarios/). PATH:LINE runs the scenario around that
line, or the next one after it. Results go to standard output, diagnostics to standard error. Each long flag is also
MQRIG_NAME in the environment and a key of .mqrig.lua in the working directory; flags go before the environment, and
that before the file.]])
  parser:argument("path", "PATH or PATH:LINE"):args "*"
  flags.add(parser)
  parser:epilog(text.flow [[
Exit status: 0 all passed, 1 a scenario failed, 2 usage, 3 a file did not load, 4 nothing selected, 5 environment (no
broker, a report that cannot be written), 70 internal error, 124 run timeout, 130 interrupted. Of several, the first of
130, 124, 70, 5, 3, 1.]])
end

function M.run(arguments, cli)
  local settings, sentence = flags.resolve(arguments)
  if not settings then
    return nil, sentence
  elseif settings.list then
    return list.show(arguments.path, settings, false)
  end
  settings.program = cli.program
  return runner.run(arguments.path, settings)
end

return M
