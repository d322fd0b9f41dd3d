-- The table of what TCP does, as an installed mqrig runs it: none of its scenarios is skipped. And vanishing with the
-- capability that it needs, and without: then the timeline says so, and nothing passes all the same.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local build = os.getenv("MQRIG"):match "^(.*)/[^/]+$"
local installed = program.folder .. "/installed"
assert(os.execute(("cmake --install %s --prefix %s >%s/log"):format(build, installed, program.folder)))
local scenarios = installed .. "/share/mqrig/scenarios/faults"

local function succeeds(command)
  return os.execute(command .. " >/dev/null 2>&1") == true
end

local function run(what, before)
  local status = os.execute(("cd %s && %s installed/bin/mqrig run %s --capture always >.out 2>.err </dev/null")
    :format(program.folder, before, what))
  local out = program.read ".out"
  assert(status, out .. program.read ".err")
  return out
end

local probe = installed .. "/libexec/mqrig/plainsocket repair | grep -q yes"
local own_network = "unshare -rn sh -c 'ip link set lo up && exec \"$0\" \"$@\"'"
local without = "setpriv --bounding-set=-net_admin --inh-caps=-net_admin"

local capable = succeeds(probe) and "" or succeeds(own_network .. " true") and own_network
if capable then
  local out = run(scenarios .. "/tcp", capable)
  assert(out:find "\n%d+ passed, 0 failed, 0 skipped\n$", out)
  local lines = program.read(".out") .. io.popen(("cat %s/mqrig-out/*.txt"):format(program.folder)):read "a"
  assert(not lines:find "TCP_REPAIR", lines)
else
  print "skipped: vanishing with CAP_NET_ADMIN, which is not to be had here"
end

local incapable = not succeeds(probe) and "" or succeeds(without .. " true") and without
if incapable then
  os.execute(("rm -rf %s/mqrig-out"):format(program.folder))
  local out = run(("%s/tcp %s/ending.lua -f vanish"):format(scenarios, scenarios), incapable)
  assert(out:find "also when this end is closed: TCP_REPAIR needs the capability CAP_NET_ADMIN", out)
  assert(out:find "\n4 passed, 0 failed, 1 skipped\n$", out)
  local lines = io.popen(("cat %s/mqrig-out/*.txt"):format(program.folder)):read "a"
  local _, times = lines:gsub("a connection can vanish only with TCP_REPAIR, which needs the capability CAP_NET_ADMIN: "
    .. "Operation not permitted; it is not read any more instead", "")
  assert(times == 4, lines)
else
  print "skipped: vanishing without CAP_NET_ADMIN, which cannot be given up here"
end
program.finish()
