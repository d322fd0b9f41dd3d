-- explore, from a planted defect to a scenario that stands alone; exhaustive runs; replays that do not fit.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local says, gives, write, read, head = program.says, program.gives, program.write, program.read, program.head

-- Without a defect nothing is found.
gives("explore --seeds 20 --seed 1 -j 2", 0, "\n20 passed, 0 failed, 0 skipped\n$", "^$")

-- The same seeds give the same runs, in any number of workers.
local function without_times(out)
  return (out:gsub("\n%d+ runs in [^\n]*", ""):gsub("jobs %d", ""))
end
local one = gives("explore --seeds 12 --seed 40 -v", 0)
assert(without_times(one) == without_times((gives("explore --seeds 12 --seed 40 -v -j 3", 0))))

-- A planted defect is found, shrunk to what it needs, and written down.
local found = says("explore --seeds 200 --seed 50 --defect pubrel-forgotten --capture never", 1, {
  "FAILED   campaign: the standard campaign, seed 51",
  "no progress within 120 s after everything was healed: c1 waits for the results of 1 messages",
  "fault c1 rule down PUBCOMP", " lines to 4 in ",
  "written   mqrig-out/explore/campaign-seed-51.replay", "mqrig-out/explore/campaign-seed-51.lua",
  "again     ", "replay mqrig-out/explore/campaign-seed-51.replay --defect pubrel-forgotten",
  "1 failed",
})
local reason = found:match "campaign:0\n  ([^\n]+)"
assert(select(2, read("mqrig-out/explore/campaign-seed-51.replay"):gsub("\n%d+ms c1 ", "")) <= 2)
local replay, script = "mqrig-out/explore/campaign-seed-51.replay", "mqrig-out/explore/campaign-seed-51.lua"
says("replay " .. replay, 1, { "FAILED", reason, "0 passed, 1 failed" })
says(("run --net sim --defect pubrel-forgotten --capture never %s"):format(script), 1, { reason, "0 passed, 1 failed" })
says("run --net sim " .. script, 0, "1 passed, 0 failed")

-- Edited by hand: without its faults it passes.
write("edited.replay", (read(replay):gsub("fault [^\n]*\n", "")))
says("replay edited.replay", 0, "1 passed, 0 failed")

-- Other builds, other scripts, files that are none.
local as_written = read(replay)
assert(as_written:find "\nbuild 0%.1%.0 %x+\n" and as_written:find("\nfailure " .. reason, 1, true), as_written)
write("old.replay", (as_written:gsub("(\nbuild 0.1.0) [^\n]*", "%1 0123456789ab")))
says("replay old.replay", 2, nil, "old.replay: it was made by mqrig 0.1.0 0123456789ab, and this is 0.1.0 ")
write("old.replay", (as_written:gsub("\nbuild [^\n]*", "\nbuild 0.0.1")))
says("replay old.replay", 2, nil, "old.replay: it was made by mqrig 0.0.1, and this is ")
says("replay --anyway old.replay", 1, { "replay old.replay --defect pubrel-forgotten --anyway", "0 passed, 1 failed" },
  "old.replay: it was made by mqrig 0.0.1")
write("corrupt.replay", (as_written:gsub("end\n$", "12ms c1 publsh a\n%0")))
says("replay corrupt.replay", 3, nil, '"publsh" is no step, did you mean "publish"?')
write("corrupt.replay", (as_written:gsub("rule down", "rule sideways")))
says("replay corrupt.replay", 3, nil, "corrupt.replay: line 12: the rule, at column 1: ")
write("corrupt.replay", as_written:sub(1, -6))
says("replay corrupt.replay", 3, nil, 'its last line is to be "end": a part of it is missing')

-- What was read is not written again, edited or not.
write("edited.replay", (as_written:gsub("end\n$", "20ms c1 publish a qos 1\n%0")))
says("replay edited.replay", 1, { reason, "replay edited.replay --defect pubrel-forgotten" })
assert(read(replay) == as_written)
says("replay none.replay", 3, nil, "none.replay cannot be read: No such file")
says("replay", 2, nil, "missing argument 'file'")

-- One fault at each byte of each packet: as many runs as there are bytes, for each kind.
write("one.lua", head .. [[
scenario("a publish", function(t)
  local c = t:connect { id = "c" }
  c:publish("a", "b", { qos = 1 })
  c:disconnect()
end)
scenario("fails", function() expect(1):equals(2) end)
]])
write("named.lua", head .. [[
scenario("named", { params = { n = 1 } }, function(t)
  local c = t:connect { id = "a", name = "alice" }
  for _ = 1, t.params.n do c:publish("a", "b", { qos = 1 }) end
  if t.params.n == 2 then while true do t:sleep(1) end end
  c:disconnect()
end)
scenario("without clients", function(t) t:raw_client() end)
scenario("hangs", function(t) t:connect() while true do end end)
]])
local bytes = (2 + 10 + 3) + 4 + (2 + 3 + 2 + 1) + 4 + 2
says("explore --exhaustive rst,vanish one.lua -f publish --seed 1", 0, {
  "every rst, vanish of one.lua: a publish", ("%d passed, 0 failed"):format(2 * bytes),
})
-- Each failure has files of its own.
local failing = "explore --exhaustive rst --keep-going --no-shrink --defect loss-told-twice one.lua -f publish --seed 1"
local written, count = {}, 0
for path in gives(failing, 1):gmatch "(mqrig%-out/%S+)" do
  written[path] = (written[path] or 0) + 1
  count = count + 1
  assert(read(path) ~= "")
end
assert(count >= 6, count)
for path, times in pairs(written) do
  assert(times == (path:find "%.replay$" and 2 or 1), path) -- once more in the command to run it again
end
says("explore --exhaustive rst one.lua", 2, nil, "--exhaustive takes one scenario, and 2 are selected: write PATH:LINE")
says("explore --exhaustive rst one.lua -f fails", 1, nil, "fails does not pass without a fault: ")

-- Clients are found by whatever name they have; where there is none, there is nothing to look at.
says("explore --exhaustive vanish named.lua:4 --seed 1", 0, { "of 34 cells", ("%d passed, 0 failed"):format(bytes) })
says("explore --exhaustive rst named.lua -f without", 4, nil, "it has no client that sends or gets a packet")
says("explore named.lua -f without", 4, nil, "without clients: it has no client for whose link faults could be drawn")
local out = says("explore named.lua:4 --seeds 60 --seed 1 -v", 0, "60 passed, 0 failed")
assert(tonumber(out:match "covered (%d+) of") >= 1, out)

-- Under faults an expectation may fail, in a task or a callback, too, the play of a peer, and a rule that was to fire.
write("tasks.lua", head .. [[
scenario("a task", function(t)
  local c = t:connect()
  t:spawn(function() expect(c:try_publish("a", "b", { qos = 1 })):equals(0) end):join()
end)
scenario("a play", function(t)
  local peer = t:peer()
  peer:play { { "<", "CONNECT" }, { ">", "CONNACK" }, { "<", "PUBLISH" }, { ">", "PUBACK" } }
  t:connect { broker = peer }:publish("a", "b", { qos = 1 })
end)
scenario("a rule", function(t)
  local c = t:connect()
  c.link.up:on("PUBLISH"):first():delay("1ms")
  c:publish("a", "b", { qos = 1 })
end)
scenario("a callback", function(t)
  local c, code = t:connect(), nil
  c.mqtt:createmessage("a", "b", { qos = 1 }):sendasync(function(result)
    code = result
    expect(code):equals(0)
  end)
  t:wait(function() return code end)
end)
]])
for _, name in ipairs { "a task", "a play", "a rule", "a callback" } do
  says(("explore --exhaustive rst,fin tasks.lua --seed 1 -f '%s'"):format(name), 0, " passed, 0 failed")
end

-- A replay brings its options along, and a run that does not end has a limit in real time, too.
out = says("explore named.lua:4 -p n=2 --timeout 5s --seeds 9 --seed 1 --capture never", 1, "5.00 s of virtual time")
local brings = out:match "mqrig%-out/explore/%S+%.replay"
assert(read(brings):find("\ntimeout 5.0\nparam n=2\n", 1, true), read(brings))
says("replay --capture never " .. brings, 1, "within 5.00 s of virtual time")
says("replay -p n=1 " .. brings, 0, "1 passed")

-- The scenario that is written is the file with a beginning that does what the replay does, and stands alone.
local alone = out:match "mqrig%-out/explore/%S+%.lua"
write("named.lua.away", read "named.lua")
write("named.lua", "")
says("run --net sim --capture never " .. alone, 1, { "FAILED", "within 5.00 s of virtual time", "0 passed, 1 failed" })
write("named.lua", read "named.lua.away")
out = says("explore --seeds 50 --seed 1 --capture never --defect result-missing named.lua:4", 1, { "inv-24", "1 failed" })
alone = out:match "mqrig%-out/explore/%S+%.lua"
says("run --net sim --capture never --defect result-missing " .. alone, 1, { "inv-24", "0 passed, 1 failed" })
says("run --net sim " .. alone, 0, "1 passed, 0 failed")
says("explore named.lua -f hangs --real-timeout 1s --seeds 1 --seed 1 --capture never", 1, "never yields")

-- Live: what only a virtual network can have is named and left out.
write("live.replay", (read(brings):gsub("param n=2", "param n=1"):gsub("end\n$", "fault alice latency 5ms\n%0")))
says("replay --net real live.replay", 0, { "network real", "1 passed" },
  "live.replay: skipped on a real network: fault alice latency 5ms")

-- Scenarios with faults drawn for their links: what fails without one fails with some seed; the replay names the script.
says("explore one.lua -f publish --seeds 30 --seed 1", 0, "30 passed, 0 failed")

-- Bad words.
says("explore --exhaustive rst", 2, nil, "--exhaustive needs the scenario: mqrig explore --exhaustive rst PATH:LINE")
says("explore --exhaustive rts one.lua", 2, nil, '--exhaustive "rts" is no kind of fault, did you mean "rst"?')
says("explore --seeds 0", 2, nil, "--seeds needs a whole number from 1")
says("explore --for soon", 2, nil, "--for needs a duration")
says("explore nothere.lua", 2, nil, 'there is no file or directory "nothere.lua"')
program.finish()
