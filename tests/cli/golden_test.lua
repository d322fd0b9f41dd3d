-- Reports of failures, compared byte for byte with tests/golden/, after what differs from run to run was made equal:
-- times, ports, the version, the program's path. MQRIG_GOLDEN=write writes them anew; look at the difference then.
--
-- Each failure is looked at as its reader does, too: it fits a screen, and its command runs that scenario again.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local SEED, LINES_MAX, COLUMNS_MAX = 7, 24, 100
local writing = os.getenv "MQRIG_GOLDEN" == "write"
assert(os.execute(("cp tests/golden/*.lua %s/"):format(program.folder)))

local function escaped(text)
  return (text:gsub("%p", "%%%0"))
end

local function normal(text)
  text = text:gsub(escaped(os.getenv "MQRIG"), "mqrig"):gsub(escaped(program.folder), "FOLDER")
  text = text:gsub("mqrig %d+%.%d+%.%d+", "mqrig VERSION"):gsub('("version"[^"]+)"%d+%.%d+%.%d+"', '%1"VERSION"')
  text = text:gsub("127%.0%.0%.1:%d+", "127.0.0.1:PORT")
  text = text:gsub(" +%d+%.%d%d%d ms  ", " TIME ms  ")
  text = text:gsub('time="[%d.]+"', 'time="TIME"'):gsub('timestamp="[^"]+"', 'timestamp="TIME"')
  text = text:gsub('("?duration_%w+"?: ?)%d+', "%1TIME"):gsub('("wall_clock_s": ?)[%d.]+', "%1TIME")
  text = text:gsub(" %([%d.]+ m?s%)\n", "\n")
  return text
end

local function compare(name, text)
  local path = "tests/golden/" .. name
  if writing then
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return
  end
  local file = assert(io.open(path, "rb"), path .. " is missing: MQRIG_GOLDEN=write makes it")
  local want = file:read "a"
  file:close()
  if want ~= text then
    local got = program.folder .. "/" .. name
    local out = assert(io.open(got, "wb"))
    out:write(text)
    out:close()
    os.execute(("diff -u %s %s"):format(path, got))
    error(path .. " differs (if that is right: MQRIG_GOLDEN=write)", 0)
  end
end

local line = ("run failures.lua broken.lua --seed %d -r pretty -r tap:r.tap -r junit:r.xml -r json:r.json"):format(SEED)
local out = program.says(line, 3, "\n1 passed, 13 failed, 1 skipped\n", nil, "NO_COLOR=1")
compare("failures.pretty", normal(out))
compare("failures.tap", normal(program.read "r.tap"))
compare("failures.xml", normal(program.read "r.xml"))
compare("failures.jsonl", normal(program.read "r.json"))

-- A screen each.
local function width(text)
  return utf8.len(text) or #text
end
local failures = program.failures(out)
local count = 0
for name, report in pairs(failures) do
  count = count + 1
  assert(select(2, report:gsub("\n", "")) + 2 <= LINES_MAX, report)
  for one in report:gmatch "[^\n]+" do
    assert(width(one) <= COLUMNS_MAX or one:find "^  again " or one:find "^  written ", one)
  end
  -- What there is to be read: the place, its source, and the command.
  local place = report:match "^  (failures%.lua:%d+)\n    %S"
  assert(place, report)
  -- Expected and got stand below each other.
  if report:find "\n  expected " then
    assert(report:find "\n  expected  [^\n]+\n  got       ", report)
  end
  for file in report:gmatch "mqrig%-out/%S+" do
    assert(program.has(file), file)
  end
  -- The command runs this one and no other, and it fails in the same way.
  local again = report:match "\n  again     %S+ ([^\n]+)$"
  local text = program.says(again .. " --capture never", 1, { "seed 7, ", "FAILED   failures.lua: " .. name,
    "\n0 passed, 1 failed, 0 skipped\n" })
  local function core_of(whole)
    return normal(whole):gsub("\n  written.*$", ""):gsub("\n  again.*$", ""):gsub("%S+ TIME ms", "TIME ms")
  end
  assert(core_of(program.failures(text)[name]) == core_of(report), text)
end
assert(count == 13, out)

program.finish()
