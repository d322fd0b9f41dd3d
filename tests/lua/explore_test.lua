-- Cases: what is drawn is the same for the same seed, printing and parsing are inverse, a bad line is told with its number;
-- shrinking finds the part that fails; a replay file says where it is bad.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
dofile(here .. "/cli_core.lua")
local core = require "mqrig.core"
function core.rule_check(text)
  return not text:find "sideways" and text or nil, 'column 1: "sideways": expected a direction'
end
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
refuses("fault 10ms to 5ms c1 stall", "it ends before it begins")
refuses("fault c1 rule sideways PUBLISH rst", 'the rule, at column 1: "sideways": expected a direction')
refuses("fault c1 latency soon", '"soon" is no latency: uniform(5ms,40ms) or 10ms is')
refuses("fault c1 loss 3/2", '"3/2" is no part of what is sent: 1/20 is')
refuses("client c1 will 3", "will is from 0 to 2, not 3")
refuses("client c1 subscribe a 7", "its QoS is from 0 to 2, not 7")
refuses("120ms c1 publish a qos 1 size -5", "size is from 0 to 262144, not -5")
refuses("120ms c1 publish a/#", '"a/#" is a filter, and messages go to a topic')
refuses("120ms c1 restart",
  '"restart" is no step, known: close, connect, disconnect, flood, publish, subscribe, unsubscribe')
refuses("120ms broker publish", '"publish" is no step of the broker, known: forget, kill, restart, start')

-- Who there is not does nothing, and that would not be seen. A case without clients is about those of a scenario.
for _, line in ipairs { "1ms c2 close", "fault 1ms c2 rst" } do
  local parsed, said = case_.parse { "client c1", "client c3", line }
  assert(not parsed and said == "line 3: there is no client c2, known: c1, c3", said)
end
local _, twice = case_.parse { "client c1", "client c1" }
assert(twice == "line 2: there is a client c1 already")
assert(case_.parse { "fault 1ms c2 rst" })

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

-- There is nothing to be had earlier than at 0, nor where nothing has a time: it is not tried again and again.
local tried = 0
shrink.run(assert(case_.parse { "fault c1 rule up PUBLISH rst" }), function()
  tried = tried + 1
  return tried > 1
end)
assert(tried < 5, tried)

-- Who ends a run while a failure is being shrunk gets it as far as it is. What was told to end has not failed.
local explorer = require "mqrig.explore.explorer"
local reported = {}
function core.make_directory()
  return nil, "no files here"
end
local running = explorer.new({ out = "none", shrink = true, given = {}, net = "sim", timeout = 1, real_timeout = 1 }, {
  scenarios = { { name = "some", file = "some.lua" } },
  job = function(number)
    return { scenario = 1, seed = number }
  end,
  name = function()
    return "some"
  end,
  script = function()
    return "some.lua:1"
  end,
}, {
  event = function(_, _, e)
    reported[#reported + 1] = e
  end,
})
local function failed_with(lines)
  return { verdict = "failed", case = lines, failure = { message = "it fails" }, logs = {} }
end
running:take_result(running:next_job(), failed_with(case_.lines(draw.case(7))))
local candidate = running:next_job()
assert(candidate.shrinking == 1 and #candidate.case < #case_.lines(draw.case(7)))
running:take_result(candidate, failed_with())
candidate = running:next_job()
running.ended = "interrupted"
running:take_result(candidate, { verdict = "failed", interrupted = true, failure = { message = "interrupted" } })
running:report_unfinished()
assert(running.done == 1 and running.failed == 1 and #reported == 1)
assert(reported[1].result.logs[#reported[1].result.logs]:find "^shrunk from %d+ lines to %d+ in 2 runs, and no further")
running:report_unfinished()
assert(#reported == 1)

-- Replay files.
local replay = { build = "0.0.0", script = "campaign", seed = 7, net = "sim", timeout = 600.5, case = draw.case(7),
  param = { { "n", "3" }, { "name", "a=b c" } }, failure = "inv-08 resume: c1" }
local text = replayfile.text(replay)
local read = assert(replayfile.parse(text))
assert(replayfile.text(read) == text and read.seed == 7 and read.failure == "inv-08 resume: c1")
assert(read.timeout == 600.5 and #read.param == 2 and read.param[2][1] == "name" and read.param[2][2] == "a=b c")
assert(not replayfile.differs(read))
read.build = "9.9.9"
assert(replayfile.differs(read) == "it was made by mqrig 9.9.9, and this is 0.0.0")
read.build, read.script = nil, "a.lua:1 1234"
assert(replayfile.differs(read, "a.lua:1 5678") == "it was made of a.lua:1 1234, and this is a.lua:1 5678")
assert(replayfile.parse((text:gsub("\n", "\r\n")) .. "\r\n"))

local function corrupt(changed, sentence)
  local parsed, said = replayfile.parse(changed)
  assert(not parsed and said:find(sentence, 1, true), said)
end
corrupt("", "line 1: \"mqrig-replay 1\" is expected, this is no replay file")
corrupt((text:gsub("seed 7", "sead 7")), 'line 4: "sead 7" is no line of the head, did you mean "seed"?')
corrupt((text:gsub("seed 7", "seed x")), "line 4: seed needs a whole number from 0 to 2^63 - 1, not x")
corrupt((text:gsub("net sim", "net mars")), 'line 5: net is one of real, sim, not "mars"')
corrupt((text:gsub("script campaign\n", "")), "line 9: the head ends here, and has no line script")
local last = select(2, text:gsub("\n", ""))
corrupt((text:gsub("end\n$", "nonsense\nend\n")), ("line %d: \"nonsense\" is no beginning of a line"):format(last))
-- Cut anywhere behind its first line, it is no whole file.
for size = #"mqrig-replay 1\n", #text - 5 do
  corrupt(text:sub(1, size), "line ")
end
assert(select(2, replayfile.read "not/there.replay"):find "not/there.replay cannot be read: No such file")

-- Coverage: cells that were hit count, the others are named.
local covered = coverage.new()
covered:add { [coverage.cell("rst", "PUBLISH", "up", true)] = 3 }
local hit, empty = covered:report(coverage.all({ "rst" }, { up = { "PUBLISH" }, down = { "PUBACK" } }))
assert(hit == 1 and #empty == 3 and empty[1] == "rst up PUBLISH, idle")
for _, cell in ipairs(coverage.all(draw.ENDINGS, draw.PACKETS)) do
  assert(not cell:find "any", cell)
end
