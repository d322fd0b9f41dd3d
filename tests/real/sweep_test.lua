-- Sweeps in the real program: the rows, the file, and a rule of a run that owed something.

local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local csv = os.tmpname()
local pipe = assert(io.popen(("%s run tests/real/sweep.lua --capture never -p file=%s 2>&1"):format(executable, csv)))
local out = pipe:read "a"
pipe:close()
assert(out:find "\n2 passed, 1 failed, 0 skipped\n$", out)
assert(out:find("FAILED   tests/real/sweep.lua: fails: a rule of a run", 1, true), out)
assert(out:find('"up PUBLISH first drop"', 1, true) or out:find("up PUBLISH first drop", 1, true), out)
assert(not out:find "run 1 of", out) -- no progress where there is no terminal

local lines = {}
for line in io.lines(csv) do
  lines[#lines + 1] = line
end
os.remove(csv)
assert(#lines == 9 and lines[1]:find "^run,name,qos,seconds,sent,ok,codes,pending,ack_p50_ms,.*,mine$", lines[1])
assert(lines[2]:find "^1,a,0,%d+%.%d+,3,", lines[2])
assert(lines[9]:find '^8,"b,""c""",1,%d', lines[9])
