-- The bugs of the field: every scenario passes as it is, and fails when its defect is switched on, for that reason.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local pipe = assert(io.popen "pwd")
local file = pipe:read "l" .. "/scenarios/faults/bugs_of_the_field.lua"
pipe:close()

local says = {
  ["identifier-reused"] = "PUBLISH !packet_id=1 ",
  ["publish-after-pubrel"] = "got       !PUBLISH dup=true",
  ["pubrel-lost"] = "expected  PUBREL packet_id=1\n  got       nothing",
  ["resend-out-of-order"] = 'got       PUBLISH dup=true !packet_id=2 !payload="2"',
  ["half-open"] = "the connection was not lost within",
  ["broker-half-open"] = "the connection was not closed within",
  ["session-lost"] = "no CONNACK { session_present=true } was received",
}

local out = program.gives("run -j 4 " .. file, 0)
local count = 0
for name in out:gmatch "passed   [^:]+: ([%w-]+): " do
  assert(says[name], name .. " has no defect that this test knows")
  count = count + 1
end
local known = 0
for name, text in pairs(says) do
  known = known + 1
  local arguments = ("run --capture never -f '/bugs_of_the_field.lua: %s:' -p defect=%s %s"):format(name, name, file)
  local shown = program.gives(arguments, 1, "\n0 passed, 1 failed, 0 skipped\n$")
  assert(shown:find(text, 1, true), shown)
end
assert(count == known, out)
program.gives("run -f identifier-reused --capture never -p defect=nonsense " .. file, 1, "there is no defect")
program.finish()
