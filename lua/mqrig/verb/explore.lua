-- mqrig explore: thousands of runs in virtual time, each with its own seed, faults and interleaving.

local checks = require "mqrig.checks"
local flags = require "mqrig.flags"
local near = require "mqrig.near"
local runner = require "mqrig.runner"
local text = require "mqrig.text"

local M = { summary = "search for failures, seed after seed" }

M.SEEDS = 1000
M.TIMEOUT_S = 600 -- of one run, in its own time
M.FLAGS = {}
for name in ("filter exclude tag clause jobs seed timeout real_timeout memory net mqtt defect param report verbose "
  .. "quiet color capture out"):gmatch "%S+" do
  M.FLAGS[name] = true
end
M.KINDS = { "rst", "fin", "vanish", "close", "stall", "blackhole" }

function M.configure(parser)
  parser:description(text.flow [[
Without PATH, runs the standard campaign: clients that publish, subscribe, come and go, while connections break, stall,
slow down and brokers restart, all drawn from a seed; then everything is healed and must come to its end. With PATH,
runs those scenarios with faults drawn for their clients' links; expectations may fail then, invariants may not. With
--exhaustive, one fault at each byte of each packet of one scenario, a run for each. The first failure ends it: it is
shrunk to a smaller case that fails in the same way, and written as a replay file and as a scenario file that stands
alone.]])
  parser:argument("path", "PATH or PATH:LINE"):args "*"
  parser:option("--seeds", ("how many (default %d, or no limit with --for)"):format(M.SEEDS)):argname "N"
  parser:option("--for", "go on for that long, as in 30s, 10m"):argname("D"):target "for_"
  parser:option("--exhaustive", "one fault of these kinds at each byte: " .. table.concat(M.KINDS, ", ")):argname "KIND,..."
  parser:flag("--keep-going", "go on after a failure"):target "keep_going"
  parser:flag("--no-shrink", "report a failure as it was found"):target "no_shrink"
  flags.add(parser, nil, M.FLAGS)
  parser:epilog(text.flow [[
Exit status: 0 no seed failed, 1 one did, 2 usage, 3 a file did not load, 4 nothing selected, 5 environment, 70 internal
error, 130 interrupted.]])
end

local function check(settings, name, value, flag, checker)
  local sentence
  if value ~= nil then
    settings[name], sentence = checker(value)
  end
  return sentence and ("%s %s"):format(flag, sentence)
end

local function kinds(value)
  local list = {}
  for word in (value .. ","):gmatch "%s*(.-)%s*," do
    local known
    for _, kind in ipairs(M.KINDS) do
      known = known or kind == word
    end
    if not known then
      local hint = near.suggest(word, M.KINDS) or "known: " .. table.concat(M.KINDS, ", ")
      return nil, ('"%s" is no kind of fault, %s'):format(word, hint)
    end
    list[#list + 1] = word
  end
  return list
end

--- The settings of an exploration; nil and a sentence.
function M.settings(arguments, cli)
  local settings, sentence = flags.resolve(arguments)
  if not settings then
    return nil, sentence
  end
  settings.program = cli.program
  settings.net = settings.given.net and settings.net or "sim"
  settings.seed = settings.seed or runner.new_seed()
  settings.shrink, settings.keep_going = not arguments.no_shrink, arguments.keep_going
  settings.timeout = settings.given.timeout and settings.timeout or M.TIMEOUT_S
  sentence = check(settings, "for_s", arguments.for_, "--for", checks.duration)
    or check(settings, "seeds", arguments.seeds, "--seeds", checks.whole(1, math.maxinteger))
    or check(settings, "exhaustive", arguments.exhaustive, "--exhaustive", kinds)
  if sentence then
    return nil, sentence
  elseif settings.exhaustive and #arguments.path == 0 then
    return nil, "--exhaustive needs the scenario: mqrig explore --exhaustive rst PATH:LINE"
  end
  settings.seeds = settings.seeds or not settings.for_s and M.SEEDS or nil
  return settings
end

function M.run(arguments, cli)
  local settings, sentence = M.settings(arguments, cli)
  if not settings then
    return nil, sentence
  end
  return require("mqrig.explore.session").run(arguments.path, settings)
end

return M
