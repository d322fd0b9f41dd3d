-- write: the files of a failure that was found: a replay, and a scenario that stands alone.

local case_ = require "mqrig.explore.case"
local core = require "mqrig.core"
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

--- A scenario file that fails as the replay does.
function M.scenario_text(replay, message)
  local sentence = text.printable(text.lines(message)[1])
  return SCENARIO:format(replay.seed, sentence, ("seed %d: %s"):format(replay.seed, text.cut(sentence, 100)), replay.net,
    replay.seed, table.concat(case_.lines(replay.case), "\n"))
end

local function write_file(path, contents)
  local written, why = paths.write(path, contents)
  return written, why and ("%s cannot be written: %s"):format(path, (why:gsub("^.*: ", "")))
end

--- Writes stem.replay and, of a case that is a workload of its own, stem.lua. Their names, or nil and a sentence.
function M.files(stem, replay, message)
  local ok, sentence = core.make_directory((stem:match "^(.*)/[^/]*$"))
  if not ok then
    return nil, sentence
  end
  local files = { stem .. ".replay" }
  ok, sentence = write_file(files[1], replayfile.text(replay))
  if ok and #replay.case.clients > 0 then
    files[2] = stem .. ".lua"
    ok, sentence = write_file(files[2], M.scenario_text(replay, message))
  end
  if not ok then
    return nil, sentence
  end
  return files
end

return M
