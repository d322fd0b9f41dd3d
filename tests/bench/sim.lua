-- lua5.4 tests/bench/sim.lua: how fast virtual time goes, in a table of Markdown. MQRIG is the program (the release build). Each row is one
-- scenario of simulated.lua, run as anybody runs one, without captures; the processor's time, less that of
-- a scenario with nothing in it.
local PROGRAM <const> = os.getenv "MQRIG" or "build/release/mqrig"
local REPEATS <const> = 3

-- Seconds of the processor, those of the worker included.
local function once(name)
  local command <const> = [[bash -c "TIMEFORMAT='%%U %%S'; time %s run --net sim --seed 1 --capture never --real-timeout 600 ]] ..
    [[--filter '%s' tests/bench/simulated.lua >/dev/null" 2>&1]]
  local pipe <close> = assert(io.popen(command:format(PROGRAM, name)))
  local user, system = pipe:read("n", "n")
  assert(user and system, name)
  return user + system
end

local function best(name)
  local least = math.huge
  for _ = 1, REPEATS do least = math.min(least, once(name)) end
  return least
end

local function names()
  local list = {}
  local pipe <close> = assert(io.popen(PROGRAM .. " run --net sim --list tests/bench/simulated.lua"))
  for line in pipe:lines() do
    list[#list + 1] = line:match "%f[%w](pings of .-)%s*$" or line:match "%f[%w](messages of .-)%s*$"
  end
  return list
end

local nothing = best "nothing"
print(("| a run of | CPU | simulated seconds in one |\n|---|---|---|"))
for _, name in ipairs(names()) do
  local took = math.max(best(name) - nothing, 1e-3)
  print(("| %s | %.1f ms | %.0f |"):format(name, took * 1e3, tonumber(name:match "for (%d+) s") / took))
end
