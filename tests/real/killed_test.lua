-- Signals in the middle of a run with mosquitto and other processes up: no child is left, also where mqrig itself or a
-- worker is killed; where somebody is there to write them, the reports are whole.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

if not (os.execute "command -v mosquitto >/dev/null 2>&1" or io.open "/usr/sbin/mosquitto") then
  print "mosquitto is not installed: nothing is tested"
  os.exit(true)
end

program.write("up.lua", program.head .. [[
local function note(...)
  local file = io.open("pids", "a")
  file:write(table.concat({ ... }, " "), "\n")
  file:close()
end
for i = 1, 3 do
  scenario("up " .. i, { timeout = 60 }, function(t)
    local mosquitto = t:mosquitto()
    local shell = t:process { "sh", "-c", "sleep 300 & echo $! $$; wait" }
    note(mosquitto.pid, t.broker.pid, shell:wait_output "%d+ %d+", io.open("/proc/self/stat"):read "n")
    t:connect { broker = mosquitto }
    t:connect():publish("a", "b", { qos = 1 })
    os.rename("wait" .. i, "ready" .. i)
    if i == 2 then
      while true do pcall(function() while true do end end) end
    end
    t:sleep(50)
  end)
end
]])

-- Starts a run, waits until all is up, runs `act` (a shell's commands, $P is mqrig), waits for its end. Returns the
-- status, standard output and standard error.
local function run(act)
  for i = 1, 3 do
    os.remove(("%s/ready%d"):format(program.folder, i))
    program.write("wait" .. i, "")
  end
  program.write("do.sh", ([[
cd %s
export TMPDIR=%s/tmp
timeout -s KILL 60 sh -c 'echo $$ >pid
  exec %s run up.lua -j3 --broker mosquitto -r pretty -r junit:r.xml -r json:r.json' >out 2>err </dev/null &
T=$!
until [ -e ready1 ] && [ -e ready2 ] && [ -e ready3 ] || ! kill -0 $T 2>/dev/null; do :; done
P=$(cat pid)
%s
wait $T
echo $? >status
]]):format(program.folder, program.folder, os.getenv "MQRIG", act))
  assert(os.execute(("bash %s/do.sh 2>/dev/null"):format(program.folder)))
  return tonumber(program.read "status"), program.read "out", program.read "err"
end

local function check_reports(out, ended)
  assert(out:find("\n0 passed, 0 failed, 3 skipped\n$"), out)
  assert(select(2, out:gsub("\nskipped  up.lua: up %d: interrupted", "")) == 3, out)
  assert(program.read "r.xml":find 'skipped="3".*</testsuites>\n$', program.read "r.xml")
  local last = program.read "r.json":match "([^\n]+)\n$"
  assert(last:find '"event":"run_end"' and last:find('"ended":"' .. ended .. '"', 1, true), last)
end

local ONCE, TWICE = "kill -%s $P", "kill -%s $P; until grep -q interrupted err; do :; done; kill -%s $P"
for _, case in ipairs { { "INT", ONCE }, { "TERM", TWICE }, { "INT", TWICE }, { "HUP", TWICE } } do
  local status, out, err = run((case[2]:gsub("%%s", case[1])))
  assert(status == 130, case[1] .. status .. out .. err)
  assert(err == "mqrig: interrupted: the scenarios that run are being ended (once more: at once)\n", err)
  check_reports(out, "interrupted")
  program.check_gone("pids", 15)
  assert(program.count_temporary() == 0)
end

-- A worker killed, or told to end: its scenario fails with that, nothing of it is left, the others are not disturbed.
for signal, name in pairs { KILL = "KILL", TERM = "TERM" } do
  local status, out = run(("for w in $(cut -d' ' -f5 pids); do kill -%s $w; done"):format(signal))
  assert(status == 70, status .. out)
  assert(select(2, out:gsub("the worker process that ran it was killed by signal " .. name, "")) == 3, out)
  assert(out:find "\n0 passed, 3 failed, 0 skipped\n$", out)
  program.check_gone("pids", 15)
  assert(program.count_temporary() == 0)
end

-- mqrig killed: all goes with it.
local status = run "kill -KILL $P"
assert(status == 137, status)
program.check_gone("pids", 15)

-- And its workers at the same moment.
status = run "kill -KILL $P $(cut -d' ' -f5 pids)"
assert(status == 137, status)
for pid in program.read("pids"):gmatch "%d+" do -- what was in the background has nobody left to end it
  if program.is_running(pid) and io.open("/proc/" .. pid .. "/cmdline"):read "a" == "sleep\0" .. "300\0" then
    os.execute("kill " .. pid)
  end
end
program.check_gone("pids", 15)

program.finish()
