-- mqrig replay: one run that was found by explore, again.

local checks = require "mqrig.checks"
local explore = require "mqrig.verb.explore"
local flags = require "mqrig.flags"
local text = require "mqrig.text"

local M = { summary = "run again what explore has found" }

M.FLAGS = {}
for name in ("timeout real_timeout memory net param defect report verbose quiet color capture out"):gmatch "%S+" do
  M.FLAGS[name] = true
end

function M.configure(parser)
  parser:description(text.flow [[
Runs the case of a replay file: its seed, its clients and steps, and the faults that it lists; the list can be edited by
hand. A file of another build, or of a scenario that has been changed since, is refused with a sentence that says which
part differs. With --net real the same runs live; faults that only a virtual network can have are named and left out.]])
  parser:argument("file", "what explore has written"):args(1)
  parser:flag("--anyway", "also where the build or the script is another")
  flags.add(parser, nil, M.FLAGS)
  parser:epilog "Exit status: 0 it passes now, 1 it fails, otherwise as explore."
end

function M.run(arguments, cli)
  local given = { path = {}, no_shrink = true }
  for name in pairs(M.FLAGS) do
    given[name] = arguments[name]
  end
  local settings, sentence = explore.settings(given, cli)
  if not settings then
    return nil, sentence
  end
  settings.anyway = checks.flag(arguments.anyway or false)
  return require("mqrig.explore.session").replay(arguments.file, settings)
end

return M
