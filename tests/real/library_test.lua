-- The scenario library in the real program: what works, on both brokers where mosquitto is installed, and what
-- failures say.

package.path = "/usr/share/lua/5.4/?.lua;" .. package.path
local dkjson = require "dkjson"
local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local report, out = os.tmpname(), os.tmpname()
os.remove(out)

local function run(arguments)
  local command = ("%s run %s --out %s --report json:%s >%s.txt 2>&1"):format(executable, arguments, out, report, out)
  local _, _, status = os.execute(command)
  return status
end

local function text_of(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function line_of(path, name)
  local inside, number = false, 0
  for line in io.lines(path) do
    number = number + 1
    inside = inside or line:find(('fails("%s"'):format(name), 1, true)
    if inside and line:find("-- here", 1, true) then
      return number
    end
  end
end

assert(run "tests/real/library.lua" == 0, text_of(out .. ".txt"))
local mosquitto = os.execute "PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null"
if mosquitto then
  assert(run "tests/real/mosquitto.lua" == 0, text_of(out .. ".txt"))
end

-- What each is to say, out of the file.
local sayings = {}
for name, _, says in text_of("tests/real/failing.lua"):gmatch '\nfails%("(.-)", (["\'])(.-)%2, function' do
  sayings[name] = says
end

assert(run "tests/real/failing.lua --jobs 2" == 1)
local seen = 0
for line in io.lines(report) do
  local entry = assert(dkjson.decode(line))
  local failure = entry.failure
  if failure then
    seen = seen + 1
    local says = sayings[entry.name]
    assert(failure.message:find(says, 1, true), ("%s says %s"):format(entry.name, failure.message))
    local wanted = line_of("tests/real/failing.lua", entry.name)
    assert(failure.line == wanted, ("%s: line %s"):format(entry.name, failure.line))
    assert(failure.file == "tests/real/failing.lua")
  elseif entry.verdict == "passed" then
    error(entry.name .. " should have failed")
  end
end
local _, count = text_of("tests/real/failing.lua"):gsub('\nfails%("', "")
assert(seen == count, ("%d of %d failed"):format(seen, count))
os.execute(("rm -rf %s %s %s.txt"):format(report, out, out))
