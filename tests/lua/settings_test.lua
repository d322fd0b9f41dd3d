-- Settings: the order of the four places, that each value is checked, and that an error names where it came from.

dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local settings = require "mqrig.settings"

local function resolve(arguments, environment, file)
  return settings.resolve(arguments or {}, function(name)
    return (environment or {})[name]
  end, file or {})
end

local function refused(pattern, ...)
  local s, sentence = resolve(...)
  assert(s == nil and sentence:find(pattern), tostring(sentence))
end

-- Defaults, file, environment, flag: each hides the one before.
assert(resolve().jobs == 1 and resolve().timeout == 10 and resolve().broker == "builtin")
assert(resolve({}, {}, { jobs = 2 }).jobs == 2)
assert(resolve({}, { MQRIG_JOBS = "3" }, { jobs = 2 }).jobs == 3)
assert(resolve({ jobs = "4" }, { MQRIG_JOBS = "3" }, { jobs = 2 }).jobs == 4)
assert(resolve({}, { MQRIG_JOBS = "" }, { jobs = 2 }).jobs == 2)
assert(resolve({ jobs = "auto" }).jobs == 2)
assert(resolve({}, {}, { jobs = 2 }).given.jobs and not resolve().given.jobs)

-- A flag in the environment and the file.
assert(resolve({}, { MQRIG_SHUFFLE = "1" }).shuffle == true)
assert(resolve({}, { MQRIG_SHUFFLE = "0" }, { shuffle = true }).shuffle == false)
assert(resolve({}, {}, { fail_fast = true }).fail_fast == true)
assert(resolve({ until_fail = true }).until_fail == true)

-- Lists: repeated on the command line, split in the environment, arrays in the file.
local s = resolve { tag = { "a,!b", "c" } }
assert(table.concat(s.tag, " ") == "a !b c")
s = resolve({}, { MQRIG_REPORT = "tap:a.tap,junit:b.xml" })
assert(#s.report == 3 and s.report[1].format == "pretty")
assert(s.report[2].file == "a.tap" and s.report[3].format == "junit")
s = resolve({}, { MQRIG_FAULT = "up PUBLISH range 1,2 drop; down any rst" })
assert(#s.fault == 2 and s.fault[1] == "up PUBLISH range 1,2 drop", s.fault[1])
s = resolve({}, {}, { param = { size = 16, mode = "x" } })
assert(s.param[1][1] == "mode" and s.param[2][2] == "16")
s = resolve({ param = { "a=b=c" } })
assert(s.param[1][2] == "b=c")

-- What a report needs.
assert(resolve().report[1].format == "pretty")
assert(#resolve({ report = { "tap" } }).report == 1)
refused("both go to standard output", { report = { "tap", "json" } })
refused("both go to x", { report = { "tap:x", "json:x" } })
refused('did you mean "junit"', { report = { "juint:x" } })
refused("names no file", { report = { "junit:" } })

-- Errors name the place.
refused("^%-%-jobs needs a number", { jobs = "x" })
refused("^MQRIG_JOBS in the environment needs", {}, { MQRIG_JOBS = "0" })
refused('^"jobs" in %.mqrig%.lua needs', {}, {}, { jobs = 1000 })
refused('^"jobs" in %.mqrig%.lua needs one value', {}, {}, { jobs = {} })
refused("^MQRIG_SHUFFLE in the environment is true or false", {}, { MQRIG_SHUFFLE = "maybe" })
refused("^%-%-shard needs I/N", { shard = "3/2" })
refused("^%-%-shard", { shard = "0/2" })
refused("^%-%-timeout", { timeout = "soon" })
refused("^%-%-timeout needs more than no time", { timeout = "0" })
refused("^%-%-seed", { seed = "-1" })
refused("^%-%-net is one of real, sim", { net = "virtual" })
refused("^%-%-net sim has the built%-in broker only", { net = "sim", broker = "mosquitto" })
refused("^%-%-net sim has the built%-in broker only", { net = "sim" }, { MQRIG_BROKER = "tcp://127.0.0.1:1883" })
refused("3.1.1 only", { mqtt = "5" })
refused('did you mean "mosquitto"', { broker = "mosquito" })
refused("bad URL", { broker = "tcp://" })
refused("is no rule: column 1", { fault = { "sideways" } })
refused("NAME=VALUE", { param = { "x" } })
refused("exclude each other", { verbose = true, quiet = true })
assert(resolve({ broker = "tcp://127.0.0.1:1883" }).broker == "tcp://127.0.0.1:1883")
assert(resolve({ seed = "9223372036854775807" }).seed == math.maxinteger)

-- The file itself: assignments or a table, keys checked.
local function with_file(content)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(content)
  file:close()
  local values, sentence = settings.read_file(path)
  os.remove(path)
  return values, sentence
end
assert(with_file("jobs = 4").jobs == 4)
assert(with_file("return { ['fail-fast'] = true, jobs = 1 + 2 }").fail_fast == true)
local values, sentence = with_file "jbos = 4"
assert(values == nil and sentence:find 'unknown key "jbos", did you mean "jobs"', sentence)
values, sentence = with_file "jobs ="
assert(values == nil and sentence:find ":1:", sentence)
values, sentence = with_file "return 7"
assert(values == nil and sentence:find "returns a number", sentence)
values, sentence = with_file "error 'no'"
assert(values == nil and sentence:find "no", sentence)
values, sentence = with_file "while true do end"
assert(values == nil and sentence:find "never yields", sentence)
assert(next(settings.read_file "/nonexistent/settings") == nil)
