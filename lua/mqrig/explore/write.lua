-- write: the files of a failure that was found: a replay, and a scenario that stands alone.

local case_ = require "mqrig.explore.case"
local core = require "mqrig.core"
local near = require "mqrig.near"
local paths = require "mqrig.paths"
local replayfile = require "mqrig.explore.replayfile"
local text = require "mqrig.text"

local M = {}

local SCENARIO = [=[
-- Found by mqrig explore with seed %d:
-- %s
local rig = require "mqrig"

rig.scenario(%q,
{ net = %q, seed = %d, timeout = "10m" }, function(t)
  t:case [[
%s
]]
end)
]=]

-- The same of a scenario of a file: that file, with a beginning that puts the faults on it.
local EXPLORED = [=[
-- Found by mqrig explore with seed %d:
-- %s
require("mqrig").explored(%q, { net = %q, seed = %d, timeout = %s, params = {%s } }, [[
%s
]])

]=]

local function params_text(params)
  local words = {}
  for _, key in ipairs(near.keys(params)) do
    words[#words + 1] = (" [%q] = %q"):format(key, params[key])
  end
  return table.concat(words, ",")
end

--- A scenario file that fails as the replay does. `of`: the scenario, if it is one of a file: { name, source, params
--- (those given), timeout_s }.
function M.scenario_text(replay, message, of)
  local sentence, lines = text.printable(text.lines(message)[1]), table.concat(case_.lines(replay.case), "\n")
  if of then
    return EXPLORED:format(replay.seed, sentence, of.name, replay.net, replay.seed, of.timeout_s, params_text(of.params),
      lines) .. of.source
  end
  return SCENARIO:format(replay.seed, sentence, ("seed %d: %s"):format(replay.seed, text.cut(sentence, 100)), replay.net,
    replay.seed, lines)
end

local function write_file(path, contents)
  local written, why = paths.write(path, contents)
  return written, why and ("%s cannot be written: %s"):format(path, (why:gsub("^.*: ", "")))
end

--- Writes stem.replay and stem.lua. `of` as above. Their names, or nil and a sentence.
function M.files(stem, replay, message, of)
  local ok, sentence = core.make_directory((stem:match "^(.*)/[^/]*$"))
  if not ok then
    return nil, sentence
  end
  local files = { stem .. ".replay" }
  ok, sentence = write_file(files[1], replayfile.text(replay))
  if ok then
    files[2] = stem .. ".lua"
    ok, sentence = write_file(files[2], M.scenario_text(replay, message, of))
  end
  if not ok then
    return nil, sentence
  end
  return files
end

return M
