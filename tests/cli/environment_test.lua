-- The surroundings: brokers that are not there, programs that are not installed, reports that cannot be written, disks
-- that are full, descriptors that are few. What can be known before a run is said before it, with exit status 5; what
-- happens in it loses nothing else.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local says, gives, write, head = program.says, program.gives, program.write, program.head

write("x.lua", head .. [[
scenario("first", function(t) t:connect():publish("a", "b", { qos = 1 }) end)
scenario("second", function(t) t:connect():publish("a", "b", { qos = 1 }) end)
]])
write("fails.lua", head .. "scenario('fails', function(t) t:connect() expect(1):equals(2) end)")
local both = "\n2 passed, 0 failed, 0 skipped\n"

-- Brokers.
for url, sentence in pairs {
  ["tcp://127.0.0.1:1"] = "connecting to 127.0.0.1:1: Connection refused",
  ["tcp://[::1]:1"] = "connecting to [::1]:1: ",
  ["mqtt://nohost.invalid"] = "the name nohost.invalid was not found",
  ["unix:///nonexistent/x.sock"] = "connecting to /nonexistent/x.sock: No such file or directory",
} do
  says(("run x.lua --broker '%s'"):format(url), 5, nil,
    { ("mqrig: the broker %s cannot be reached: %s"):format(url, sentence), "Is it running, and is this its address?" })
end
gives("run x.lua --broker tcp://127.0.0.1:1", 5, "^$")
says("run x.lua --broker ws://127.0.0.1:1", 5, nil, "cannot be reached: connecting to 127.0.0.1:1: Connection refused")

-- mosquitto is not installed: it is looked for in PATH and where servers are put. With none of them in the way, the
-- run does not begin; a scenario that wants one of its own says the same.
local bare = "unshare -rm sh -c 'mount -t tmpfs none /usr/sbin && exec \"$@\"' -- env PATH=/nonexistent"
local can_hide = os.execute "unshare -rm sh -c 'mount -t tmpfs none /usr/sbin' 2>/dev/null"
if can_hide and not io.open "/usr/local/sbin/mosquitto" then
  local sentence = "mosquitto is not installed: install it (Debian, Ubuntu: apt install mosquitto)"
  local function hidden(line, status, out, err)
    local got = os.execute(("cd %s && %s %s %s >.out 2>.err </dev/null; test $? = %d"):format(program.folder, bare,
      os.getenv "MQRIG", line, status))
    local whole = program.read ".out" .. program.read ".err"
    assert(got, line .. "\n" .. whole)
    assert(not out or program.read ".out":gsub("\n  ", " "):find(out, 1, true), whole)
    assert(not err or program.read ".err":find(err, 1, true), whole)
  end
  hidden("run x.lua --broker mosquitto", 5, nil, "mqrig: " .. sentence .. ", or run without --broker mosquitto")
  write("own.lua", head .. "scenario('own', function(t) t:mosquitto() end)")
  hidden("run own.lua x.lua", 5, sentence)
  hidden("run x.lua", 0)
end

-- A mosquitto that does not start: its own complaint.
write("conf.lua", head .. [[
scenario("conf", function(t) t:mosquitto { conf = "nonsense 3" } end)
scenario("port", function(t) t:mosquitto { conf = "listener " .. t:peer().url:match "%d+$" .. " 127.0.0.1" } end)
]])
says("run conf.lua", 1, {
  'mosquitto did not start: it ended with status 3: Unknown configuration variable "nonsense".',
  "mosquitto did not start: it ended with status 1: Address already in use",
})

-- Reports that cannot be written are named before anything runs.
assert(os.execute(("mkdir %s/folder && touch %s/readonly && chmod a-w %s/readonly"):format(program.folder,
  program.folder, program.folder)))
gives("run x.lua -r junit:nowhere/r.xml", 5, "^$", "the report file cannot be written: nowhere/r.xml: No such file")
gives("run x.lua -r junit:folder", 5, "^$", "the report file cannot be written: folder: Is a directory")
gives("run x.lua -r tap:good.tap -r json:nowhere/r", 5, "^$", "the report file cannot be written: nowhere/r: ")
if not io.open(program.folder .. "/readonly", "a") then -- root may write everywhere
  gives("run x.lua -r junit:readonly", 5, "^$", "the report file cannot be written: readonly: Permission denied")
end

-- A disk that becomes full: that report is lost, and it is said; the others are whole, and the status is 5.
for _, format in ipairs { "junit", "tap", "json", "pretty" } do
  says(("run x.lua fails.lua -r %s:/dev/full -r junit:r.xml -r tap"):format(format), 5, { "1..3\n", "ok 1",
    "not ok 3" },
    "mqrig: the report on /dev/full is not complete: No space left on device")
  assert(program.read "r.xml":find '</testsuites>\n$')
end
local function full(line, status, err)
  gives(line .. " >/dev/full", status, nil, "^mqrig: " .. err .. "[^\n]*\n$")
end
full("run x.lua", 5, "the report on standard output is not complete")
full("run fails.lua -r json", 5, "the report on standard output is not complete")
for _, line in ipairs { "--version", "help", "help run", "decode c000", "list x.lua", "completion bash" } do
  full(line, 5, "standard output cannot be written")
end
gives("run x.lua -r junit:r.xml >&-", 5, "^$", "^mqrig: the report on standard output is not complete: Bad file "
  .. "descriptor\n$")
gives("run x.lua <&- 2>&-", 0, both)
gives("run x.lua <&- >&- 2>&-", 5, "^$")
gives("run x.lua 2>/dev/full", 0, both)
-- Who reads it goes away: the other report is whole.
assert(os.execute(("cd %s && (%s run x.lua -r pretty -r json:r.json; echo $? >status) 2>/dev/null | true"):format(
  program.folder, os.getenv "MQRIG")))
assert(program.read "r.json":find '"event":"run_end"' and program.read "status":find "^[05]\n$", program.read "status")

-- The folder for captures.
for _, out in ipairs { "/proc/nowhere", "x.lua", "/dev/full" } do
  says("run fails.lua --out " .. out, 5, { "  expected  2\n  got       1\n", "\n0 passed, 1 failed, 0 skipped\n" },
    "cannot be written: " .. out)
end
says("new nowhere/y.lua", 0)
says("new /proc/nowhere/y.lua", 5, nil, "/proc/nowhere/y.lua cannot be written: ")

-- Few descriptors: named with the number and what to do; no crash, and no loop that burns the processor.
local function limited(limit, line, status, out, err)
  return says(line, status, out, err, ("ulimit -n %d && "):format(limit))
end
write("many.lua", head .. [[
local function many(name, fn)
  scenario(name, { timeout = 60 }, function(t) for i = 1, 20000 do fn(t, i) end end)
end
many("clients", function(t) t:connect() end)
many("tried", function(t) t:client():try_connect() end)
many("raw", function(t) t:raw_client() end)
many("peers", function(t) t:peer() end)
many("processes", function(t) t:process { "sleep", "100" } end)
scenario("last", function(t) t:connect() end)
]])
local out = limited(128, "run many.lua --capture never", 1, "\npassed   many.lua: last\n", nil)
for _, failure in pairs(program.failures(out)) do
  local report = failure:gsub("\n  ", " ")
  assert(report:find("no descriptor left for ", 1, true)
    and report:find("the limit of this process is 128; raise it with ulimit -n (up to 128 here)", 1, true), report)
end
write("clients.lua", head .. [[
scenario("20,000 clients", { timeout = 60 }, function(t)
  local began = os.clock()
  t:defer(function() expect(os.clock() - began):is_at_most(20) end)
  for _ = 1, 20000 do t:connect() end
end)
]])
for _, broker in ipairs { "builtin", "mosquitto" } do
  local text = limited(1024, "run clients.lua --capture never --broker " .. broker, 1, nil, nil):gsub("\n  ", " ")
  assert(text:find("the limit of this process is 1024; raise it with ulimit -n", 1, true), text)
end
for _, limit in ipairs { 14, 20 } do
  limited(limit, "run x.lua -j4", 5, nil, { "mqrig: too few files may be open at once: ",
    "raise the limit with ulimit -n" })
end
limited(34, "run x.lua", 0, both)
for limit = 30, 60, 6 do -- wherever it becomes short, there is a verdict or a sentence
  local status, text, err = program.run("run x.lua -j8 --broker mosquitto", ("ulimit -n %d && "):format(limit))
  local whole = text .. err
  local good = status == 0 and text:find(both, 1, true)
  assert(good or whole:find "descriptor" or whole:find "files may be open", status .. whole)
end

program.finish()
