-- Plays over real sockets: those that are to pass do, the others fail with expected over got.

local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local pipe = assert(io.popen(executable .. " run tests/real/play.lua --capture never --jobs 4 2>&1"))
local out = pipe:read "a"
pipe:close()

local function shows(name, ...)
  local from = out:find("FAILED   tests/real/play.lua: fails: " .. name, 1, true)
  assert(from, name .. "\n" .. out)
  for _, text in ipairs { ... } do
    local at = out:find(text, from, true)
    assert(at and at < from + 1200, text .. "\n" .. out)
  end
end

shows("a mismatch", "    p:play {\n", "the play of peer1, step 3 of 3: another packet came\n",
  '  expected  PUBLISH dup=false !packet_id=7 !payload="hello"\n'
  .. '  got       PUBLISH dup=false !packet_id=1 !payload="b"     qos=1', "-> PUBLISH q1 id 1")
shows("a packet never came", "step 3 of 3: what was expected did not come within 0.2 s\n",
  "  expected  PUBREL packet_id=7\n  got       nothing\n")
shows("bytes that are no packet", "  expected  PUBLISH\n  got       bytes that are no packet: f0 00\n")
local _, passing = out:gsub("\npassed   ", "")
assert(out:find(("\n%d passed, 3 failed, 0 skipped\n$"):format(passing)) and passing == 5, out)
