-- Ctrl-C and the run's time limit: reports are written, nothing that was started is left. The scenarios send the
-- signals themselves, so that no test waits for a moment to be right.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local gives, write = program.gives, program.write

local head = [[
local rig = require "mqrig"
local scenario = rig.scenario
local function parent() -- of this worker: mqrig
  return io.open("/proc/self/stat"):read("a"):match "%) %a (%d+)"
end
local function child(t)
  local p = t:process { "sh", "-c", "echo $$ >>pids; echo started; exec sleep 300" }
  t:wait(function() return io.open("pids") end)
  return p
end
]]

-- No process of the file `pids` is there any more.
local function check_gone()
  for pid in program.read("pids"):gmatch "%d+" do
    local file = io.open("/proc/" .. pid .. "/stat")
    local state = file and file:read("a"):match "%) (%a)"
    if file then
      file:close()
    end
    assert(not state or state == "Z", "process " .. pid .. " is left")
  end
  os.remove(program.folder .. "/pids")
end

write("once.lua", head .. [[
scenario("passes", function() end)
scenario("is interrupted", { timeout = 100 }, function(t)
  child(t)
  t:defer(function() io.open("cleaned", "w"):close() end)
  t:process { "kill", "-" .. os.getenv "SIGNAL", parent() }
  t:sleep(90)
end)
scenario("never begins", function() end)
]])
for _, signal in ipairs { "INT", "TERM" } do
  local out = gives("run once.lua -r junit:r.xml", 130, "\n1 passed, 0 failed, 1 skipped\n$", "interrupted",
    "SIGNAL=" .. signal)
  assert(out:find "is interrupted: interrupted" and out:find "interrupted: 1 not run", out)
  assert(program.read("r.xml"):find "</testsuites>" and program.has "cleaned")
  os.remove(program.folder .. "/cleaned")
  check_gone()
end

-- Twice: at once, also where a scenario hears nothing.
write("twice.lua", head .. [[
scenario("hears nothing", { timeout = 100 }, function(t)
  child(t)
  t:process { "sh", "-c", "kill -INT " .. parent() .. "; kill -TERM " .. parent() }
  while true do pcall(function() while true do end end) end
end)
]])
gives("run twice.lua", 130, nil, "interrupted")
check_gone()

-- The run's time limit.
write("long.lua", head .. [[
scenario("long", { timeout = 100 }, function(t) child(t) t:sleep(90) end)
scenario("never begins", function() end)
]])
local out = gives("run long.lua --run-timeout 1s", 124, "\n0 passed, 1 failed, 0 skipped\n$", "time of 1 s is up")
assert(out:find "the run's time was up: 1 not run", out)
check_gone()

-- mqrig itself killed: its children go with it.
write("killed.lua", head .. [[
scenario("kills mqrig", { timeout = 100 }, function(t)
  child(t)
  t:process { "kill", "-KILL", parent() }
  t:sleep(90)
end)
]])
local line = ("cd %s && %s run killed.lua >.out 2>&1; test $? = 137"):format(program.folder, os.getenv "MQRIG")
assert(os.execute(line))
-- The kernel ends them one after the other; the last one's end is waited for by opening what it holds.
for pid in program.read("pids"):gmatch "%d+" do
  os.execute(("timeout 20 tail --pid=%s -f /dev/null"):format(pid))
end
check_gone()

program.finish()
