-- Cases: what is drawn is the same for the same seed, printing and parsing are inverse, a bad line is told with its number;
-- shrinking finds the part that fails; a replay file says where it is bad.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
dofile(here .. "/cli_core.lua")
local case_ = require "mqrig.explore.case"
local coverage = require "mqrig.explore.coverage"
local draw = require "mqrig.explore.draw"
local replayfile = require "mqrig.explore.replayfile"
local shrink = require "mqrig.explore.shrink"

local function text_of(case)
  return table.concat(case_.lines(case), "\n")
end

-- Drawing, printing, parsing.
local different, floods, rivals = {}, 0, 0
for seed = 1, 2000 do
  local lines = case_.lines(draw.case(seed))
  local parsed = assert(case_.parse(lines))
  local text = table.concat(lines, "\n")
  assert(text == text_of(parsed) and text == text_of(draw.case(seed)), text)
  different[text] = true
  floods = floods + (text:find " flood " and 1 or 0)
  local ids = {}
  for _, client in ipairs(parsed.clients) do
    rivals = rivals + (ids[client.id] and 1 or 0)
    assert(not (ids[client.id] and client.kept), "two halves of one kept session")
    ids[client.id] = true
  end
end
local count = 0
for _ in pairs(different) do
  count = count + 1
end
assert(count == 2000 and floods > 0 and rivals > 100)

local function refuses(line, sentence)
  local parsed, said = case_.parse({ "# a comment", "", line }, 11)
  assert(not parsed and said == "line 13: " .. sentence, ("%s: %s"):format(line, said))
end
refuses("broker qeued 3", '"qeued" is no word of the broker, did you mean "queued"?')
refuses("clinet c1", '"clinet" is no beginning of a line, did you mean "client"?')
refuses("client c1 keepalve 3", '"keepalve" is no word of a client, did you mean "keepalive"?')
refuses("client c1 keepalive x", 'keepalive is a whole number, not "x"')
refuses("client c1 subscribe a", "its QoS is missing at its end")
refuses("120 c1 publish a", 'a time is written in milliseconds, as in 120ms, not "120"')
refuses("120ms c1 publsh a", '"publsh" is no step, did you mean "publish"?')
refuses("120ms c1 publish a qs 1", '"qs" is no word of publish, did you mean "qos"?')
refuses("120ms c1 publish", "the topic is missing at its end")
refuses("fault 10ms c1 latency", '"latency" is no fault at a time, known: fin, rst, vanish')
refuses("fault 10ms to 5 c1 stall", 'a time is written in milliseconds, as in 120ms, not "5"')
refuses("fault c1 rst", '"rst" is no fault without a time, known: latency, loss, rate, rule')
refuses("fault 10ms c1 rst now", "there is more behind the fault")
refuses("fault", "a time or who is missing at its end")

-- Shrinking: of all that a case has, two things are needed, and nothing else stays.
local runs = 0
local function fails(case)
  runs = runs + 1
  local text = text_of(case)
  return text:find "c1 publish [^\n]* qos 2" ~= nil and text:find "fault c1 rule" ~= nil
end
local shrunk = 0
for seed = 1, 300 do
  local case = draw.case(seed)
  if fails(case) then
    local small, taken = shrink.run(case, fails)
    assert(fails(small) and #small.clients == 1 and #small.steps == 1 and #small.faults == 1, text_of(small))
    assert(small.steps[1].size == 1 and not small.steps[1].retain and small.steps[1].at <= 1, text_of(small))
    assert(taken <= shrink.RUNS_MAX)
    shrunk = shrunk + 1
  end
end
assert(shrunk >= 10)

-- What cannot get smaller stays as it is; a predicate that never holds again changes nothing.
local case = draw.case(5)
assert(text_of((shrink.run(case, function()
  return false
end))) == text_of(case))

-- Replay files.
local replay = { build = "0.0.0", script = "campaign", seed = 7, net = "sim", failure = "inv-08", case = draw.case(7) }
local text = replayfile.text(replay)
local read = assert(replayfile.parse(text))
assert(replayfile.text(read) == text and read.seed == 7 and read.failure == "inv-08")
assert(not replayfile.differs(read))
read.build = "9.9.9"
assert(replayfile.differs(read) == "it was made by mqrig 9.9.9, and this is 0.0.0")
read.build, read.script = nil, "a.lua:1 1234"
assert(replayfile.differs(read, "a.lua:1 5678") == "it was made of a.lua:1 1234, and this is a.lua:1 5678")

local function corrupt(changed, sentence)
  local parsed, said = replayfile.parse(changed)
  assert(not parsed and said:find(sentence, 1, true), said)
end
corrupt("", "line 1: \"mqrig-replay 1\" is expected, this is no replay file")
corrupt((text:gsub("seed 7", "sead 7")), 'line 4: "sead 7" is no line of the head, did you mean "seed"?')
corrupt((text:gsub("seed 7", "seed x")), "the head has no seed, a whole number")
corrupt((text:gsub("script campaign\n", "")), "the head does not say which script it is of")
corrupt(text .. "nonsense\n", ("line %d: \"nonsense\" is no beginning of a line"):format(select(2, text:gsub("\n", "")) + 1))
assert(select(2, replayfile.read "not/there.replay"):find "not/there.replay cannot be read: No such file")

-- Coverage: cells that were hit count, the others are named.
local covered = coverage.new()
covered:add { [coverage.cell("rst", "PUBLISH", "up", true)] = 3 }
local hit, empty = covered:report(coverage.all({ "rst" }, { up = { "PUBLISH" }, down = { "PUBACK" } }))
assert(hit == 1 and #empty == 3 and empty[1] == "rst up PUBLISH, idle")
