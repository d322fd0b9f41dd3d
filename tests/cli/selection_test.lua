-- Which scenarios run, in which order, how often; and the ends of a run that is cut short.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local says, gives, write, head = program.says, program.gives, program.write, program.head

write("a.lua", head .. [[
scenario("one", { tags = { "fast", "qos1" }, clause = "MQTT-3.3.1-2" }, function() end)
scenario("two", { tags = "fast", clause = { "3.1.1:4.3.2-1", "MQTT-1.5.3-1" } }, function()
  expect(1):equals(1)
end)
for i = 1, 3 do
  scenario("family " .. i, { tags = "family" }, function()
    expect(i):equals(i)
  end)
end
local function pair(name)
  scenario(name .. " up", function() end)
  scenario(name .. " down", function() end)
end
pair "left"
pair "right"
]])
write("b.lua", head .. [[
scenario("fails", function() expect(1):equals(2) end)
scenario("passes", function() end)
]])
write("deep/er/c.lua", head .. "scenario('deep', function() end)")

-- The names that ran, in order.
local function ran(line, status)
  local out = gives("run --capture never " .. line, status or 0)
  local names = {}
  for verdict, name in out:gmatch "\n(%a+) +[%w/.]+%.lua: ([^\n]+)" do
    names[#names + 1] = (verdict == "passed" or verdict == "FAILED") and name or nil
  end
  return table.concat(names, ",")
end
local function is(line, want, status)
  local got = ran(line, status)
  assert(got == want, ("%s: %s, not %s"):format(line, got, want))
end

local all = "one,two,family 1,family 2,family 3,left up,left down,right up,right down"
is("a.lua", all)
is("a.lua a.lua ./a.lua " .. program.folder .. "/a.lua", all)
is("deep", "deep")
is("deep/er/../er/c.lua:3", "deep")

-- By line: the scenario around it, all that one line made, or the next one.
is("a.lua:3", "one")
is("a.lua:5", "two")
is("a.lua:1", "one")
is("a.lua:7", "family 1,family 2,family 3")
is("a.lua:9", "family 1,family 2,family 3")
is("a.lua:16", "left up,left down")
is("a.lua:13", "left up,right up")
is("a.lua:3 a.lua:17 deep/er/c.lua", "one,right up,right down,deep")
says("run a.lua:99", 4, nil, "nothing selected: a.lua has no scenario on or after line 99, its last one begins on "
  .. "line 17")

-- By text, tag and clause.
is("a.lua -f FAMILY", "family 1,family 2,family 3")
is("a.lua -f two -f 'left up'", "two,left up")
is("a.lua --exclude family --exclude left", "one,two,right up,right down")
is("a.lua -f family --exclude 2", "family 1,family 3")
is("a.lua -t fast", "one,two")
is("a.lua -t 'fast,!qos1'", "two")
is("a.lua -t fast -t qos1", "one")
is("a.lua -t '!fast,!family'", "left up,left down,right up,right down")
is("a.lua --clause MQTT-3.3.1-2", "one")
is("a.lua --clause 3.3.1", "one")
is("a.lua --clause 4.3.2,1.5.3-1", "two")
for line, sentence in pairs {
  ["-f nothing"] = 'none of 9 scenarios has "nothing" in its file or name',
  ["-f family --exclude fam"] = '--exclude "fam" leaves none of 3 scenarios',
  ["-t fats"] = 'no scenario has the tag "fats", did you mean "fast"?',
  ["-t zzz"] = 'no scenario has the tag "zzz", there are: family, fast, qos1',
  ["-t fast,family"] = "none of 9 scenarios has the tags fast,family",
  ["--clause 3.3.1-22"] = 'none of 9 scenarios is about the clause "3.3.1-22"',
  ["--shard 10/10"] = "--shard 10/10 has none of 9 scenarios",
  ["--last-failed"] = "no scenario failed in the last run",
} do
  local out = says("run a.lua --out none " .. line, 4, nil, { "seed ", "nothing selected: " .. sentence })
  assert(out == "", out)
  gives("run a.lua --out none --no-tests pass " .. line, 0, "^$", "nothing selected: ")
  gives("list a.lua --out none " .. line, 4, "^$", "nothing selected: ")
end
says("run", 4, nil, "there is no directory scenarios/ here: name files or directories to run")
gives("run --no-tests pass", 0, "^$")
says("run tmp", 4, nil, "nothing selected: there is no scenario file (*.lua) here")
write("empty.lua", "")
says("run empty.lua", 4, nil, "nothing selected: the files hold no scenario")

-- Shards: together all, none twice.
local together = {}
for i = 1, 4 do
  for name in ran(("a.lua --shard %d/4"):format(i)):gmatch "[^,]+" do
    together[#together + 1] = name
  end
end
table.sort(together)
local sorted = {}
for name in all:gmatch "[^,]+" do
  sorted[#sorted + 1] = name
end
table.sort(sorted)
assert(table.concat(together, ",") == table.concat(sorted, ","))

-- Shuffled by the seed, and only by it.
local orders = {}
for seed = 1, 4 do
  local line = "a.lua --shuffle --seed " .. seed
  local order = ran(line)
  assert(order == ran(line) and #order == #all)
  orders[order] = true
end
assert(next(orders, next(orders)), "every seed gives the same order")

-- What failed last, until it passes; what was not run is not forgotten.
gives("run b.lua a.lua --capture never", 1)
is("a.lua b.lua --last-failed", "fails", 1)
is("a.lua", all)
is("b.lua --last-failed", "fails", 1)
write("b.lua", program.read("b.lua"):gsub("equals%(2%)", "equals(1)"))
is("b.lua --last-failed", "fails")
gives("run b.lua --last-failed", 4)

-- Again and again: each time with a seed one higher, until one fails.
write("count.lua", head .. [[
scenario("counts", function(t)
  local file = io.open("count", "a+")
  local n = #file:read "a" + 1
  file:write "x"
  file:close()
  expect(n):differs(3)
  print(t.seed)
end)
]])
local function fresh(line, status, pieces)
  os.remove(program.folder .. "/count")
  return says("run count.lua --capture never " .. line, status, pieces)
end
fresh("--repeat 2 --seed 5", 0, { "counts (run 1)", "counts (run 2)", "\n2 passed, 0 failed" })
fresh("--repeat 5 --seed 5", 1, { "FAILED   count.lua: counts (run 3)", " --seed 7\n", "counts (run 5)",
  "\n4 passed, 1 failed" })
fresh("--repeat 5 --seed 5 -x", 1, { "counts (run 3)", "stopped after the first failure: 2 not run",
  "\n2 passed, 1 failed" })
fresh("--until-fail --seed 5", 1, { "FAILED   count.lua: counts (run 3)", " --seed 7\n",
  "\n2 passed, 1 failed, 0 skipped\n" })
fresh("--until-fail --repeat 2", 0, "\n2 passed, 0 failed, 0 skipped\n")
local seeds = {}
for seed in fresh("--repeat 2 -v", 0):gmatch "\n    (%d+)\n" do
  seeds[#seeds + 1] = seed
end
assert(#seeds == 2 and seeds[1] ~= seeds[2])
write("b.lua", program.read("b.lua"):gsub("equals%(1%)", "equals(2)"))
says("run b.lua a.lua -x --capture never", 1, "stopped after the first failure: 10 not run\n0 passed, 1 failed, 0 "
  .. "skipped\n")

-- Needs that this run cannot meet: skipped with the reason.
write("needs.lua", head .. [[
scenario("mosquitto only", { broker = "mosquitto" }, function() error "not here" end)
scenario("simulator only", { net = "sim" }, function() error "not here" end)
scenario("TLS only", { transport = "tls" }, function(t) t:connect() end)
]])
says("run needs.lua", 0, { "skipped  needs.lua: mosquitto only: needs --broker mosquitto\n",
  "skipped  needs.lua: simulator only: needs --net sim\n", "skipped  needs.lua: TLS only: needs --transport tls\n",
  "0 passed, 0 failed, 3 skipped\n" })
says("run needs.lua --until-fail", 0, "0 passed, 0 failed, 3 skipped\n")
says("run needs.lua --transport tls", 0, "\n1 passed, 0 failed, 2 skipped\n")

-- Listing: what would run, nothing runs.
gives("list a.lua:5 a.lua:3", 0, "^a.lua:3: one %[fast, qos1, MQTT%-3.3.1%-2%]\na.lua:4: two %[[^\n]*\n$", "^$")
assert(gives("run --list a.lua -f one", 0) == gives("list a.lua -f one", 0))
for line in gives("list --json a.lua", 0):gmatch "[^\n]+" do
  assert(line:find '^{"file":"a.lua","line":%d+,"name":"[^"]+".*}$', line)
end

-- A new file begins with scenarios that pass, and is never written over.
says("new tests/first", 0, "wrote tests/first.lua; run it with: mqrig run tests/first.lua\n")
says("run tests/first.lua", 0, "\n2 passed, 0 failed")
says("new --template fault fault.lua", 0, "wrote fault.lua")
says("run fault.lua", 0, "\n1 passed, 0 failed")
local before = program.read "fault.lua"
gives("new fault.lua", 2, "^$", "fault.lua is there already, it is left as it is")
assert(program.read "fault.lua" == before)

-- A fault on every client's link: where it hits, and in the command that runs it again.
write("faulty.lua", head .. [[
scenario("publishes", function(t)
  for _ = 1, 2 do
    expect(t:connect():try_publish("a", "b", { qos = 1 })):equals(0)
  end
end)
scenario("does not publish", function(t) t:connect() end)
]])
says("run faulty.lua:3 --fault 'up PUBLISH first rst'", 1, {
  "  expected  0 (SUCCESS)\n  got       -1 (FAILURE)\n", "!! up PUBLISH first rst",
    "--fault 'up PUBLISH first rst'\n" })
says("run faulty.lua --fault 'down PUBACK delay 10ms'", 0, "\n2 passed")
says("run faulty.lua --fault 'up PUBLISH nth 2 drop' -f 'does not'", 1,
  'the rule "up PUBLISH nth 2 drop" was to fire and did so 0 times')

program.finish()
