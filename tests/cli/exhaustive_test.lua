-- Each of the small exchanges survives one fault of each kind at every byte of every packet, both ways; with a defect, it
-- does not.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local pipe = assert(io.popen "pwd")
local file = pipe:read "l" .. "/scenarios/sim/exchanges.lua"
pipe:close()

local total = 0
for name in program.gives("list " .. file, 0):gmatch "exchanges%.lua:%d+: ([^\n]+)" do
  local line = ("explore --exhaustive rst,fin,vanish --seed 1 -j 2 -q %s -f '%s'"):format(file, name)
  local out = program.gives(line, 0, "\n%d+ passed, 0 failed, 0 skipped\n$")
  local runs = tonumber(out:match "(%d+) passed")
  assert(runs % 3 == 0 and runs >= 200, out)
  total = total + runs
end
assert(total >= 2500, total)

program.says(("explore --exhaustive rst --seed 1 -q --defect result-missing %s -f 'QoS 1'"):format(file), 1,
  { "FAILED", "inv-24 result: " })
program.finish()
