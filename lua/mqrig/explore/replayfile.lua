-- replayfile: a case with what it was run with, as a file that can be run again and edited by hand.
--
--   mqrig-replay 1
--   build 0.1.0 5e0c9a41d37b
--   script scenarios/sim/fleet.lua:12 3f1c9a0b22d1e7c4
--   seed 4711
--   net sim
--   defect pubrel-forgotten
--   timeout 600
--   param n=3
--   failure inv-08 resume: c1: PUBREL id 1 was not sent again
--
-- then an empty line, the lines of the case (explore/case.lua), and `end`, which tells a whole file from a part of one.
-- `script campaign` is the workload that mqrig draws. A build is the version and a hash of all sources.

local case_ = require "mqrig.explore.case"
local core = require "mqrig.core"
local near = require "mqrig.near"
local settings = require "mqrig.settings"
local text = require "mqrig.text"

local M = {}

M.SIZE_MAX = 16 << 20

local KEYS = { "build", "script", "seed", "net", "broker", "defect", "timeout", "param", "failure" }
local FIRST, LAST = "mqrig-replay 1", "end"

--- What runs here: the version, and in a built program the hash of what it was built of.
function M.build()
  local known, sources = pcall(require, "mqrig.sources")
  return known and ("%s %s"):format(core.version, sources) or core.version
end

--- The name of a file's contents.
function M.hash(contents)
  return ("%016x"):format(text.hash(contents))
end

--- The text of a replay. `replay`: { build, script, seed, net, broker, defect, timeout, param = { { key, value }, ...
--- }, failure, case }.
function M.text(replay)
  local lines = { FIRST }
  for _, key in ipairs(KEYS) do
    if key == "param" then
      for _, pair in ipairs(replay.param or {}) do
        lines[#lines + 1] = ("param %s=%s"):format(pair[1], pair[2])
      end
    elseif replay[key] ~= nil then
      lines[#lines + 1] = ("%s %s"):format(key, tostring(replay[key]))
    end
  end
  lines[#lines + 1] = ""
  local of_case = case_.lines(replay.case)
  table.move(of_case, 1, #of_case, #lines + 1, lines)
  lines[#lines + 1] = LAST
  return table.concat(lines, "\n") .. "\n"
end

-- Takes a line of the head; a sentence, if it is none.
local function take_line(replay, line)
  local key, value = line:match "^(%S+) (.+)$"
  local known = false
  for _, name in ipairs(KEYS) do
    known = known or name == key
  end
  if not known then
    local hint = key and near.suggest(key, KEYS) or "known: " .. table.concat(KEYS, ", ")
    return ('"%s" is no line of the head, %s'):format(line, hint)
  end
  local field = settings.by_name[key]
  if field then
    local kept, sentence = field.check(value)
    if kept == nil then
      return ("%s %s"):format(key, sentence)
    end
    value = kept
  end
  if key == "param" then
    table.insert(replay.param, value)
  else
    replay[key] = value
  end
end

local function read_head(lines)
  local replay = { param = {} }
  if lines[1] ~= FIRST then
    return nil, ('line 1: "%s" is expected, this is no replay file'):format(FIRST)
  end
  local number = 2
  while lines[number] and lines[number] ~= "" do
    local sentence = take_line(replay, lines[number])
    if sentence then
      return nil, ("line %d: %s"):format(number, sentence)
    end
    number = number + 1
  end
  for _, key in ipairs { "seed", "script" } do
    if not replay[key] then
      return nil, ("line %d: the head ends here, and has no line %s"):format(number, key)
    end
  end
  return replay, number + 1
end

-- The number of the line that says that this was all, or nil and a sentence.
local function find_end(lines)
  local last = #lines
  while last > 1 and not lines[last]:find "%S" do
    last = last - 1
  end
  if lines[last]:match "^%s*(.-)%s*$" ~= LAST then
    return nil, ('line %d: the file ends here, and its last line is to be "%s": a part of it is missing'):format(last,
      LAST)
  end
  return last
end

--- The replay of a file's text, or nil and a sentence.
function M.parse(contents)
  local lines = text.lines(contents)
  local replay, behind = read_head(lines)
  if not replay then
    return nil, behind
  end
  local last, sentence = find_end(lines)
  if not last then
    return nil, sentence
  end
  replay.case, sentence = case_.parse(table.move(lines, behind, last - 1, 1, {}), behind)
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
  if replay.build and replay.build ~= M.build() then
    return ("it was made by mqrig %s, and this is %s"):format(replay.build, M.build())
  elseif script and replay.script ~= script then
    return ("it was made of %s, and this is %s"):format(replay.script, script)
  end
end

return M
