-- The command line as a whole, with scenarios that are plain functions: statuses, the order, what is printed and kept.

local core = dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local cli = require "mqrig.cli"
local text = require "mqrig.text"

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir -p " .. folder))

local function write(name, content)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(content)
  file:close()
  return path
end

-- luacheck: push ignore 122
-- Runs the command line; returns status, standard output, standard error.
local function mqrig(...)
  local out, err = { "" }, { "" }
  local function keeper(list)
    local file = {}
    function file.write(_, ...)
      for _, piece in ipairs { ... } do
        list[#list + 1] = tostring(piece)
      end
      return file
    end
    function file.flush()
      return file
    end
    file.setvbuf = file.flush
    return file
  end
  local stdout, stderr, io_write = io.stdout, io.stderr, io.write
  io.stdout, io.stderr = keeper(out), keeper(err)
  io.write = function(...)
    return io.stdout:write(...)
  end
  local arguments = { ... }
  if arguments[1] == "run" then
    table.move({ "--out", folder .. "/out" }, 1, 2, #arguments + 1, arguments)
  end
  local ok, status = xpcall(cli.main, debug.traceback, arguments)
  io.stdout, io.stderr, io.write = stdout, stderr, io_write
  assert(ok, status)
  return status, table.concat(out), table.concat(err)
end

-- luacheck: pop

local function gives(status, out_pattern, err_pattern, ...)
  local got, out, err = mqrig(...)
  assert(got == status, ("status %s, expected %d\n%s%s"):format(tostring(got), status, out, err))
  assert(not out_pattern or out:find(out_pattern), out)
  assert(not err_pattern or err:find(err_pattern), err)
  return out, err
end

local good = write("good.lua", [[
local scenario = require("mqrig").scenario
scenario("first", { tags = { "a" } }, function() end)
scenario("second", function(o) assert(o.seed >= 0 and o.run_seed == 5 or true) end)
]])
local failing = write("failing.lua", [[
local scenario = require("mqrig").scenario
scenario("passes", function() end)
scenario("fails", function() error { message = "not equal", expected = "1", got = "2" } end)
scenario("also fails", function() error "boom" end)
scenario("simulated", { net = "sim" }, function() end)
scenario("mosquitto's", { broker = "mosquitto" }, function() end)
]])
local broken = write("broken.lua", "local x =\n")

-- Usage.
gives(2, nil, "Usage: mqrig")
gives(2, nil, 'unknown verb "rnu", did you mean "run"', "rnu")
gives(2, nil, "did you mean: mqrig run scenarios/x.lua", "scenarios/x.lua")
gives(2, nil, 'unknown option "%-%-jbos", did you mean "%-%-jobs"', "run", "--jbos", "3")
gives(2, nil, "%-%-net sim has the built%-in broker only", "run", "--net", "sim", "--broker", "mosquitto", good)
gives(2, nil, "there is no file", "run", folder .. "/nothing.lua")
gives(0, "^mqrig 0.0.0\n$", nil, "--version")
gives(0, "^Usage: mqrig run", nil, "run", "--help")
gives(0, "Exit status: 0 all passed", nil, "help", "run")
gives(2, nil, 'no verb "lst", did you mean "list"', "help", "lst")

-- Statuses and counts.
gives(0, "\n2 passed, 0 failed, 0 skipped\n$", nil, "run", good)
gives(1, "\n3 passed, 2 failed, 2 skipped\n$", nil, "run", good, failing)
gives(3, "\n3 passed, 2 failed, 2 skipped\n$", nil, "run", good, failing, broken)
gives(4, nil, "nothing selected", "run", "-f", "zzz", good)
gives(0, nil, "nothing selected", "run", "-f", "zzz", "--no-tests", "pass", good)
gives(5, nil, "the broker tcp://127.0.0.1:1 cannot be", "run", "--broker", "tcp://127.0.0.1:1", good)
gives(5, nil, "cannot be written", "run", "-r", "junit:/nonexistent/x.xml", good)
local out = gives(1, "needs %-%-net sim", nil, "run", failing)
assert(out:find "needs %-%-broker mosquitto", out)
assert(out:find("again     mqrig run " .. failing .. ":3 %-%-seed %d+"), out)
assert(out:find "\n  expected  1\n  got       2\n")

-- Lines, list, tags.
gives(0, "^[^\n]+\npassed   [^\n]*: second\n1 passed", nil, "run", good .. ":3")
gives(0, ":2: first %[a%]\n[^\n]*:3: second\n$", nil, "list", good)
gives(0, ":2: first %[a%]\n$", nil, "run", "-l", "-t", "a", good)
gives(3, "first", "broken.lua:2 did not load", "list", good, broken)

-- One result for each, whatever the number of workers; the same seeds.
local seeds = {}
local function seeds_of(...)
  local all = {}
  package.loaded["mqrig.scenario"] = {
    run = function(scenario, options)
      all[#all + 1] = scenario.name .. " " .. options.seed
      return { verdict = "passed", duration_ns = 1, logs = {} }
    end,
  }
  gives(0, nil, nil, "run", "--seed", "5", good, failing, ...)
  package.loaded["mqrig.scenario"] = nil
  table.sort(all)
  return table.concat(all, "\n")
end
seeds[1] = seeds_of()
assert(seeds_of "--shuffle" == seeds[1] and seeds_of "-j3" == seeds[1])
assert(select(2, seeds[1]:gsub("\n", "")) == 4)

-- Repeats: the seed one higher each time, and the command says which.
out = gives(1, "1 passed, 1 failed", nil, "run", "--repeat", "2", "--seed", "8", "-x", failing .. ":2", failing .. ":3")
assert(out:find "fails %(run 1%)" and out:find "%-%-seed 8", out)
assert(out:find "stopped after the first failure: 2 not run", out)
out = gives(1, nil, nil, "run", "--until-fail", failing .. ":3")
assert(out:find "0 passed, 1 failed")
gives(0, "4 passed", nil, "run", "--until-fail", "--repeat", "2", good)
gives(0, "2 skipped", nil, "run", "--until-fail", failing .. ":5", failing .. ":6")

-- What failed last time, also after a run of something else.
gives(1, nil, nil, "run", failing)
gives(0, nil, nil, "run", good)
gives(1, "\n0 passed, 2 failed, 0 skipped\n$", nil, "run", "--last-failed", good, failing)
local fixed = io.open(failing):read "a"
write("failing.lua", (fixed:gsub("error [^\n]- end%)", "end)")))
gives(0, "\n2 passed, 0 failed, 0 skipped\n$", nil, "run", "--last-failed", good, failing)
gives(4, nil, "no scenario failed in the last run", "run", "--last-failed", good, failing)
write("failing.lua", fixed)

-- The capture: text and packets, named in the report.
out = gives(1, "written   ", nil, "run", failing .. ":3")
local path, packets = out:match "written   ([^\n]+)%.txt\n%s+([^\n]+)%.pcapng\n"
assert(path and path == packets, out)
local content = io.open(path .. ".txt"):read "a"
assert(content:find "^# fails\n# [^\n]+, failed, seed %d+\n" and content:find "\none\ntwo   !! drop\n$", content)
assert(io.open(path .. ".pcapng"):read("a"):find "^fails\n")
out = gives(1, nil, nil, "run", "--capture", "never", failing .. ":3")
assert(not out:find "written")

-- Several reports at once; a full disk under one of them.
local junit, tap = folder .. "/r.xml", folder .. "/r.tap"
gives(1, "1 passed, 2 failed", nil, "run", "-r", "junit:" .. junit, "-r", "tap:" .. tap, failing)
assert(io.open(junit):read("a"):find 'tests="5" failures="2"' and io.open(tap):read("a"):find "1%.%.5")
local full = io.open("/dev/full", "w")
if full then
  full:close()
  gives(5, "1 passed, 2 failed", "the report on /dev/full is not complete", "run", "-r", "junit:/dev/full", "-r",
    "tap:" .. tap, failing)
  assert(io.open(tap):read("a"):find "not ok 3")
end

-- Parameters come as what their defaults are.
local params = write("params.lua", [[
local scenario = require("mqrig").scenario
scenario("p", { params = { size = 16, big = false } }, function(o)
  assert(o.params.size == 20 and o.params.big == true and o.params.other == "x")
end)
]])
gives(0, nil, nil, "run", "-p", "size=20", "-p", "big=true", "-p", "other=x", params)
gives(1, "size is a number", nil, "run", "-p", "size=large", params)
out = gives(1, nil, nil, "run", "-p", "size=21", "--timeout", "3s", params)
assert(out:find "%-%-timeout 3.0 %-%-param size=21", out)

-- A worker that dies fails its scenario only.
package.loaded["mqrig.scenario"] = {
  run = function(scenario)
    if scenario.name == "first" then
      error(setmetatable({}, { __tostring = function()
        return "broken library"
      end }))
    end
    return { verdict = "passed", duration_ns = 1, logs = {} }
  end,
}
gives(70, "1 passed, 1 failed, 0 skipped\n$", nil, "run", good)
package.loaded["mqrig.scenario"] = nil
local body = require("mqrig.worker").body
require("mqrig.worker").body = function(channel, scenarios, settings)
  local job
  channel:on(function(message)
    job = message
  end)
  core.turn()
  if job:find '"scenario":1' then
    return 9
  end
  return body({ on = function(_, fn)
    fn(job)
    channel:on(fn)
  end, send = channel.send, close = channel.close }, scenarios, settings)
end
out = gives(70, "1 passed, 1 failed, 0 skipped\n$", nil, "run", good)
assert(out:find "the worker process that ran it ended with status 9", out)
require("mqrig.worker").body = body

-- new: written once, and it loads.
gives(0, "wrote", nil, "new", folder .. "/fresh")
gives(2, nil, "is there already", "new", folder .. "/fresh.lua")
gives(0, "a message comes back", nil, "list", folder .. "/fresh.lua")
gives(2, nil, 'did you mean "fault"', "new", "--template", "fautl", folder .. "/y")

-- completion: the shells find no mistake in it.
for shell, check in pairs { bash = "bash -n", zsh = "zsh -n", fish = "fish -n" } do
  local script = write("completion", (select(2, mqrig("completion", shell))))
  if os.execute(("command -v %s >/dev/null 2>&1"):format(shell)) then
    assert(os.execute(check .. " " .. script))
  end
  assert(#text.lines(io.open(script):read "a") > 20)
end

os.execute("rm -r " .. folder)
