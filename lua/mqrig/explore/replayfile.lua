-- replayfile: a case with what it was run with, as a file that can be run again and edited by hand.
--
--   mqrig-replay 1
--   build 0.1.0
--   script scenarios/sim/fleet.lua:12 3f1c9a0b22d1e7c4
--   seed 4711
--   net sim
--   defect pubrel-forgotten
--   failure inv-08
--
-- and behind an empty line the lines of the case (explore/case.lua). `script campaign` is the workload that mqrig draws.

local case_ = require "mqrig.explore.case"
local core = require "mqrig.core"
local near = require "mqrig.near"
local text = require "mqrig.text"

local M = {}

M.SIZE_MAX = 16 << 20

local KEYS = { "build", "script", "seed", "net", "broker", "defect", "failure" }
local FIRST = "mqrig-replay 1"

--- The name of a file's contents.
function M.hash(contents)
  return ("%016x"):format(text.hash(contents))
end

--- The text of a replay. `replay`: { build, script, seed, net, broker, defect, failure, case }.
function M.text(replay)
  local lines = { FIRST }
  for _, key in ipairs(KEYS) do
    if replay[key] ~= nil then
      lines[#lines + 1] = ("%s %s"):format(key, tostring(replay[key]))
    end
  end
  lines[#lines + 1] = ""
  local of_case = case_.lines(replay.case)
  table.move(of_case, 1, #of_case, #lines + 1, lines)
  return table.concat(lines, "\n") .. "\n"
end

local function read_header(lines)
  local replay = {}
  if lines[1] ~= FIRST then
    return nil, ('line 1: "%s" is expected, this is no replay file'):format(FIRST)
  end
  local number = 2
  while lines[number] and lines[number] ~= "" do
    local key, value = lines[number]:match "^(%S+) (.+)$"
    local known = false
    for _, name in ipairs(KEYS) do
      known = known or name == key
    end
    if not known then
      local hint = key and near.suggest(key, KEYS) or "known: " .. table.concat(KEYS, ", ")
      return nil, ('line %d: "%s" is no line of the head, %s'):format(number, lines[number], hint)
    end
    replay[key] = value
    number = number + 1
  end
  replay.seed = math.tointeger(tonumber(replay.seed))
  if not replay.seed then
    return nil, "the head has no seed, a whole number"
  elseif not replay.script then
    return nil, "the head does not say which script it is of"
  end
  return replay, number + 1
end

--- The replay of a file's text, or nil and a sentence.
function M.parse(contents)
  local lines = text.lines(contents)
  local replay, behind = read_header(lines)
  if not replay then
    return nil, behind
  end
  local sentence
  replay.case, sentence = case_.parse(table.move(lines, behind, #lines, 1, {}), behind)
  if not replay.case then
    return nil, sentence
  end
  return replay
end

--- Reads a file; nil and a sentence with its name.
function M.read(path)
  local file, why = io.open(path, "rb")
  if not file then
    return nil, ("%s cannot be read: %s"):format(path, (why:gsub("^.*: ", "")))
  end
  local contents = file:read(M.SIZE_MAX + 1) or ""
  file:close()
  if #contents > M.SIZE_MAX then
    return nil, ("%s: a replay file has at most %d bytes"):format(path, M.SIZE_MAX)
  end
  local replay, sentence = M.parse(contents)
  return replay, sentence and ("%s: %s"):format(path, sentence)
end

--- What of a replay is another than here: a sentence, or nil.
function M.differs(replay, script)
  if replay.build and replay.build ~= core.version then
    return ("it was made by mqrig %s, and this is %s"):format(replay.build, core.version)
  elseif script and replay.script ~= script then
    return ("it was made of %s, and this is %s"):format(replay.script, script)
  end
end

return M
