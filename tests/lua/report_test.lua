-- Reports: whatever is in names, messages and logs, each form stays what it says that it is; a failure fits a screen.

dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local dkjson = require "dkjson"
local pretty = require "mqrig.report.pretty"
local text = require "mqrig.text"

-- A sink that keeps what is written.
local function memory()
  local sink = { pieces = {} }
  function sink:write(...)
    for _, piece in ipairs { ... } do
      assert(type(piece) == "string")
      table.insert(self.pieces, piece)
    end
  end
  function sink:text()
    return table.concat(self.pieces)
  end
  return sink
end

local every_byte = {}
for byte = 0, 255 do
  every_byte[#every_byte + 1] = string.char(byte)
end
every_byte = table.concat(every_byte)

local nasty = "a <b> & \"c\" 'd' ]]> # \\ \27[31m\0 \u{202e} \u{fffe} µ€ " .. every_byte

local function feed(format, options)
  local sink = memory()
  local r = require("mqrig.report." .. format).new(sink, options or {})
  local function event(name, data)
    if r[name] then
      r[name](r, data)
    end
  end
  local function scenario(name)
    return { file = "dir/a&b.lua", name = name, line = 3, tags = { "x" }, clause = {} }
  end
  event("run_begin", { version = "1", seed = 7, broker = "builtin", net = "real", mqtt = "3.1.1", jobs = 1, total = 4,
    wall_clock_s = 1700000000 })
  event("file_error", { file = "bad.lua", line = 2, message = "unexpected <eof>\nsecond line" })
  local results = {
    { verdict = "passed", duration_ns = 1000, logs = { nasty } },
    { verdict = "skipped", reason = "needs # more <x>", logs = {} },
    { verdict = "failed", duration_ns = 5, logs = { "log " .. nasty }, failure = { message = nasty, expected = nasty,
      got = "1", file = "dir/a&b.lua", line = 9, source = "  expect(x)", timeline = { nasty, "b" }, files = { "f" } } },
  }
  for i, result in ipairs(results) do
    event("scenario_begin", { scenario = scenario("n" .. i), round = 1 })
    event("scenario_end", { scenario = scenario("n" .. i .. " # " .. text.printable(nasty)), round = 1, rounds = 1,
      number = i, seed = 7, result = result, again = result.failure and "mqrig run dir/a&b.lua:3 --seed 7" })
  end
  event("run_end", { passed = 1, failed = 1, skipped = 1, file_errors = 1, not_run = 0, duration_ns = 10,
    failures = {} })
  return sink:text()
end

-- No form lets a control character or anything but UTF-8 through.
for _, format in ipairs { "pretty", "tap", "junit", "json" } do
  local output = feed(format, { verbose = true })
  assert(utf8.len(output), format)
  assert(not output:find "[\0-\8\11-\31\127]", format)
end

-- TAP: a version, a plan, as many points as planned, numbered in order; each block of YAML ends; "#" only before SKIP.
local function check_tap(output)
  local lines = text.lines(output)
  assert(lines[1] == "TAP version 14" and lines[2] == "1..4")
  local number, open = 0, false
  for i = 3, #lines do
    local line = lines[i]
    if line == "  ---" or line == "  ..." then
      assert(open == (line == "  ..."))
      open = not open
    elseif not line:find "^#" and not open then
      local found, rest = line:match "^n?o?t? ?ok (%d+) %- (.*)$"
      number = number + 1
      assert(tonumber(found) == number, line)
      local directive = rest:gsub("\\.", ""):match "#.*$"
      assert(directive == nil or directive:find "^# SKIP needs  more", line)
    elseif open then
      local value = line:match "^  [%a_]+: (.+)$" or line:match "^    %- (.+)$"
      assert(value == nil or tonumber(value) or dkjson.decode(value), line)
    end
  end
  assert(number == 4 and not open)
end
check_tap(feed "tap")

-- JSON: every line an object with its event, arrays also when empty.
for line in feed("json"):gmatch "[^\n]+" do
  local object = assert(dkjson.decode(line))
  assert(object.event)
  if object.event == "scenario_end" then
    assert(line:find('"clause":[]', 1, true) and object.tags[1] == "x" and object.verdict)
  end
end

-- JUnit: the counts, and an XML parser has no complaint, if there is one.
local xml = feed "junit"
assert(xml:find('<testsuites name="mqrig" tests="4" failures="1" errors="1" skipped="1"', 1, true))
assert(not xml:find("]]>", 1, true) and xml:find("a&amp;b.lua", 1, true))
if os.execute "command -v xmllint >/dev/null 2>&1" then
  local path = os.tmpname()
  local file = io.open(path, "w")
  file:write(xml)
  file:close()
  local check = io.popen("xmllint --noout " .. path .. " 2>&1")
  local complaint = check:read "a"
  check:close()
  os.remove(path)
  assert(complaint == "", complaint)
end

-- Pretty: first and last line; every line but those with names, files and commands at most 100 columns.
local lines = text.lines(feed "pretty")
assert(lines[1] == "mqrig 1, seed 7, broker builtin, network real, jobs 1")
assert(lines[#lines] == "1 passed, 1 failed, 1 skipped")
for _, line in ipairs(lines) do
  assert(utf8.len(line) <= 100 or line:find "^%u*%l*   dir/" or line:find "^skipped  ", line)
end
local quiet = feed("pretty", { quiet = true })
assert(not quiet:find "passed   dir" and quiet:find "FAILED   dir" and quiet:find "1 passed, 1 failed, 1 skipped\n$")
assert(not feed("pretty"):find "\27" and feed("pretty", { color = true }):find "\27%[31;1mFAILED")

for _, count in ipairs { 0, 1, 5, 20, 500 } do
  for _, log_count in ipairs { 0, 1, 200 } do
    local timeline, logs = {}, {}
    for i = 1, count do
      timeline[i] = "entry " .. i
    end
    for i = 1, log_count do
      logs[i] = "log " .. i
    end
    local failure = { message = ("m\n"):rep(50), timeline = timeline, traceback = ("x.lua:1: in f\n"):rep(50),
      files = { "a", "b", "c", "d" } }
    local result = { failure = failure, logs = logs }
    local block = pretty.failure_lines { scenario = { file = "f", line = 1 }, result = result, again = "mqrig run f:1" }
    assert(#block <= 23, #block)
    assert(block[#block][1]:find "mqrig run f:1")
    if count > 0 then
      local shown = false
      for _, one in ipairs(block) do
        shown = shown or one[1]:find("entry " .. count, 1, true)
      end
      assert(shown)
    end
  end
end

-- A packet's line is cut; how a connection ended, and what is noted of it, is told whole, and still fits the screen.
for count = 1, 30 do
  local timeline, told = {}, {}
  for i = 1, count do
    timeline[i] = ("  1.%d ms  c1 -> PUBLISH %s"):format(i, ("p"):rep(150))
  end
  timeline[#timeline + 1] = "  2.5 ms  c1 -- TLSv1.2, " .. ("word "):rep(30) .. "insecure"
  timeline[#timeline + 1] = "  3.5 ms  c1 ended " .. ("because "):rep(30) .. "finally"
  local lines = pretty.failure_lines { scenario = { file = "f", line = 1 }, result = { failure = { message = "m",
    timeline = timeline } }, again = "mqrig run f:1" }
  for _, one in ipairs(lines) do
    told[#told + 1] = utf8.len(one[1]) <= 100 and one[1]:match "%a+$" or "-"
  end
  local words = table.concat(told, " ")
  assert(#lines <= 23 and words:find "insecure" and words:find "finally", words)
end

-- Two long values are cut where the difference can be seen.
local long = ("x"):rep(300)
local block = pretty.failure_lines { scenario = { file = "f", line = 1 }, result = { failure = {
  message = "m", expected = long .. "A" .. long, got = long .. "B" .. long } } }
local seen = {}
for _, one in ipairs(block) do
  seen[#seen + 1] = one[1]:match "^  expected  .*A" or one[1]:match "^  got       .*B"
end
assert(#seen == 2)

-- Text.
assert(text.printable("a\0b\255") == "a\\x00b\\xff" and text.printable "µ€😀" == "µ€😀")
assert(text.printable("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"):find "^[\\x%x]+$")
assert(text.cut("µµµµµ", 4) == "µ..." and text.cut("µµµµ", 4) == "µµµµ")
assert(text.shell "a b'c" == [['a b'\''c']] and text.shell "x/y.lua:3" == "x/y.lua:3")
assert(text.slug("A reset, while -- a PUBACK", 12) == "a-reset-whil")
