-- Wrong usage: exit status 2, nothing on standard output, one sentence that names the place, the value, and what is
-- right, with the near name where there is one. And where settings come from: flags, environment, file.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local says, gives, write, head = program.says, program.gives, program.write, program.head

local marker = "scenario('runs', function() io.open('ran', 'w'):close() end)"
write("x.lua", head .. marker)

-- { arguments, the sentence }
local wrong = {
  { "rnu", 'unknown verb "rnu", did you mean "run"?' },
  { "lits", 'unknown verb "lits", did you mean "list"?' },
  { "frobnicate", 'unknown verb "frobnicate", verbs: run, list, ' },
  { "x.lua", 'unknown verb "x.lua", did you mean: mqrig run x.lua' },
  { "--flag", 'unknown option "--flag"' },
  { "run --shufle x.lua", 'unknown option "--shufle", did you mean "--shuffle"?' },
  { "run --untilfail x.lua", 'unknown option "--untilfail", did you mean "--until-fail"?' },
  { "run -z x.lua", 'unknown option "-z"' },
  { "run --seed", "'--seed'" },
  { "run --seed abc x.lua", "--seed needs a whole number from 0 to 2^63 - 1, not abc" },
  { "run --seed 1.5 x.lua", "--seed needs a whole number" },
  { "run --seed 9223372036854775808 x.lua", "--seed needs a whole number" },
  { "run -r juint x.lua", '--report is one of pretty, tap, junit, json, not "juint", did you mean "junit"?' },
  { "run -r xml:r.xml x.lua", '--report is one of pretty, tap, junit, json, not "xml"' },
  { "run -r junit: x.lua", '--report names no file after "junit:"' },
  { "run -r tap -r pretty x.lua", "--report tap and --report pretty both go to standard output: name another "
    .. "file, as in "
    .. "pretty:FILE" },
  { "run -r tap:a -r json:a x.lua", "--report tap and --report json both go to a: name another file" },
  { "run -j 0 x.lua", '--jobs needs a number from 1 to 256, or auto, not "0"' },
  { "run -j many x.lua", '--jobs needs a number from 1 to 256, or auto, not "many"' },
  { "run --shard 3/2 x.lua", '--shard needs I/N with I from 1 to N, as in 2/5, not "3/2"' },
  { "run --shard 0/2 x.lua", "--shard needs I/N" },
  { "run --timeout 3parsec x.lua", '--timeout needs a duration: a duration is seconds (0.25) or a text like "250ms"' },
  { "run --timeout 0 x.lua", "--timeout needs more than no time" },
  { "run --run-timeout -- x.lua", "--run-timeout" },
  { "run --repeat 0 x.lua", "--repeat needs a whole number from 1 to 1000000, not 0" },
  { "run --memory 1k x.lua", "--memory needs 4 MiB at least, or 0 for no limit" },
  { "run --memory lots x.lua", '--memory needs a size: a size is bytes (4096) or a text like "64k", "1MiB", not '
    .. '"lots"' },
  { "run --broker mosquito x.lua", '--broker is builtin, mosquitto, or a URL such as tcp://host:1883, not "mosquito", '
    .. 'did you mean "mosquitto"?' },
  { "run --broker http://x x.lua", '--broker is a bad URL, "http://x": unknown scheme "http" in the URL: use one '
    .. 'of tcp' },
  { "run --broker tcp:// x.lua", "no host: write tcp://localhost:1883, at column 7 of the URL" },
  { "run --broker tcp://h:99999 x.lua", 'bad port "99999": a number from 0 to 65535, at column 9 of the URL' },
  { "run --broker tcp://h:1:2 x.lua", "an IPv6 address is written in brackets" },
  { "run --net reel x.lua", '--net is one of real, sim, not "reel", did you mean "real"?' },
  { "run -V 7 x.lua", '--mqtt is 3.1.1 or 5, not "7"' },
  { "run --fault 'up PUBLSH drop' x.lua", '--fault "up PUBLSH drop" is no rule: column 4: "PUBLSH": expected' },
  { "run --fault 'up PUBLSH drop' x.lua", 'did you mean "PUBLISH"?' },
  { "run --fault 'up PUBLISH drp' x.lua", 'column 12: "drp": expected' },
  { "run --fault 'up PUBLISH drp' x.lua", 'did you mean "drop"?' },
  { "run --fault 'sideways PUBLISH drop' x.lua", 'column 1: "sideways": expected a direction (up, down, both)' },
  { "run --fault 'up PUBLISH nth x drop' x.lua", 'column 16: "x": expected a number from 1' },
  { "run --fault 'up PUBLISH' x.lua", "the rule ends here" },
  { "run --fault '' x.lua", "the rule ends here" },
  { "run -p noequals x.lua", '--param needs NAME=VALUE, not "noequals"' },
  { "run -p =3 x.lua", '--param needs NAME=VALUE, not "=3"' },
  { "run --defect will-twise x.lua", 'not "will-twise", did you mean "will-twice"?' },
  { "run --capture sometimes x.lua", '--capture is one of on-failure, always, never, not "sometimes"' },
  { "run --color alwys x.lua", '--color is one of auto, always, never, not "alwys", did you mean "always"?' },
  { "run --no-tests maybe x.lua", '--no-tests is one of fail, pass, not "maybe"' },
  { "run -q -v x.lua", "-v/--verbose and -q/--quiet exclude each other" },
  { "run --out '' x.lua", "--out needs a text" },
  { "run -f '' x.lua", "--filter needs a text" },
  { "run -t a,,b x.lua -t ''", "--tag needs tags, as in A,!B" },
  { "run nothere.lua", 'there is no file or directory "nothere.lua"' },
  { "run y.lua", 'there is no file or directory "y.lua"' },
  { "run x.lau", 'there is no file or directory "x.lau", did you mean "x.lua"?' },
  { "run x.lua:abc", 'there is no file or directory "x.lua:abc", did you mean "x.lua"?' },
  { "run nodir/", 'there is no file or directory "nodir' },
  { "list --jsn x.lua", 'unknown option "--jsn", did you mean "--json"?' },
  { "help rnu", 'there is no verb "rnu", did you mean "run"?' },
  { "completion basch", 'no completion for "basch", did you mean "bash"?' },
  { "completion", "missing argument 'shell'" },
  { "new", "missing argument 'path'" },
  { "new x.lua", "x.lua is there already, it is left as it is" },
  { "new --template basix z.lua", 'there is no template "basix", did you mean "basic"?' },
  { "new tmp", "tmp is a directory: name a file in it" },
  { "decode --strct c000", 'unknown option "--strct", did you mean "--strict"?' },
}
for _, case in ipairs(wrong) do
  says(case[1], 2, nil, { "mqrig: ", case[2] })
  gives(case[1], 2, "^$", "^mqrig: [^\n]+\n")
end
assert(not program.has "ran" and program.read "x.lua" == head .. marker)
gives("", 2, "^$", "^Usage: mqrig")

-- What is asked for is answered on standard output.
gives("--version", 0, "^mqrig %d+%.%d+%.%d+\n$", "^$")
says("help", 0, { "Usage: mqrig", "Commands:", "   run ", "   decode " })
says("--help", 0, "Usage: mqrig")
says("run --help", 0, { "Usage: mqrig run", "--until-fail", "Exit status: 0 all passed" })
says("help list", 0, "Usage: mqrig list")

-- One source of settings goes before the other: flag, environment, file, default.
local function jobs(line, before)
  return gives(line, 0, nil, nil, before):match "jobs (%d+)\n"
end
assert(jobs "run x.lua" == "1")
write(".mqrig.lua", "jobs = 2\nparam = { size = 16 }\nreport = { 'pretty', 'tap:t.tap' }\n")
assert(jobs "run x.lua" == "2" and program.read "t.tap":find "^TAP version 14")
assert(jobs("run x.lua", "MQRIG_JOBS=3") == "3")
assert(jobs("run x.lua -j4", "MQRIG_JOBS=3") == "4")
write(".mqrig.lua", "return { jobs = 5, ['no-tests'] = 'pass', color = 'always' }")
assert(jobs "run x.lua" == "5")
gives("run x.lua -t nothing", 0, "^$", "nothing selected: no scenario has the tag")
gives("run x.lua", 0, "\27%[32m")
gives("run x.lua --color never", 0, "^[^\27]+$")

-- Every long flag in the environment; lists are divided, the empty text is none.
os.remove(program.folder .. "/.mqrig.lua")
write("many.lua", head .. [[
scenario("one", { tags = "a" }, function() end)
scenario("two", { tags = "b" }, function() end)
scenario("three", { tags = { "a", "b" } }, function() end)
]])
local function selected(before, line)
  local names = {}
  for name in gives("run many.lua " .. (line or ""), 0, nil, nil, before):gmatch "\npassed   many.lua: (%a+)" do
    names[#names + 1] = name
  end
  return table.concat(names, " ")
end
assert(selected "" == "one two three")
assert(selected "MQRIG_TAG='a,!b'" == "one")
assert(selected("MQRIG_TAG='a,!b'", "-t b") == "two three")
assert(selected "MQRIG_FILTER=two" == "two")
assert(selected "MQRIG_FILTER=" == "one two three")
assert(selected "MQRIG_EXCLUDE=two" == "one three")
assert(selected "MQRIG_SHARD=2/3" == "two")
assert(selected "MQRIG_LIST=0" == "one two three" and selected "MQRIG_LIST=yes" == "")
gives("run x.lua", 0, "seed 77, broker builtin", nil, "MQRIG_SEED=77")
gives("run x.lua", 0, "^mqrig [^\n]+\n1 passed", nil, "MQRIG_QUIET=1")
gives("run x.lua", 0, "^TAP", nil, "MQRIG_REPORT=tap,json:r.json")
gives("run x.lua", 0, "\27", nil, "CLICOLOR_FORCE=1")
gives("run x.lua", 0, "^[^\27]+$", nil, "CLICOLOR_FORCE=1 NO_COLOR=1")

-- Errors name the source.
says("run x.lua", 2, nil, 'MQRIG_JOBS in the environment needs a number from 1 to 256, or auto, not "lots"',
  "MQRIG_JOBS=lots")
says("run x.lua", 2, nil, 'MQRIG_VERBOSE in the environment is true or false, not "maybe"', "MQRIG_VERBOSE=maybe")
says("run x.lua", 2, nil, 'MQRIG_FAULT in the environment "up" is no rule', "MQRIG_FAULT=up")
for content, sentence in pairs {
  ["jbos = 3"] = '.mqrig.lua: unknown key "jbos", did you mean "jobs"?',
  ["jobs = 'x'"] = '"jobs" in .mqrig.lua needs a number from 1 to 256, or auto, not "x"',
  ["jobs = {}"] = '"jobs" in .mqrig.lua needs one value, not a table',
  ["verbose = 3"] = '"verbose" in .mqrig.lua is true or false, not "3"',
  ["fault = { 'up PUBLISH drop', 'up' }"] = '"fault" in .mqrig.lua "up" is no rule',
  ["jobs ="] = ".mqrig.lua:1: unexpected symbol near <eof>",
  ["\nerror 'broken'"] = ".mqrig.lua:2: broken",
  ["return 3"] = ".mqrig.lua returns a number: a table of settings is meant",
  ["return { 3 }"] = ".mqrig.lua: 1 is no key",
  ["while true do end"] = "never yields",
} do
  write(".mqrig.lua", content)
  says("run x.lua", 2, nil, { "mqrig: ", sentence })
end
os.remove(program.folder .. "/.mqrig.lua")

-- Parameters: what a scenario's defaults say they are; a near name for a mistyped one.
write("params.lua", head .. [[
scenario("p", { params = { size = 16, name = "n", twice = false } }, function(t)
  print(math.type(t.params.size), t.params.size, t.params.name, t.params.twice, t.params.more)
end)
]])
says("run params.lua -v", 0, "    integer  16  n  false  nil\n")
says("run params.lua -v -p size=0x20 -p name=3 -p twice=yes -p more=a=b", 0, "    integer  32  3  true  a=b\n")
says("run params.lua -v", 0, "    float  1.5  n  true  nil\n", nil, "MQRIG_PARAM='size=1.5, twice=1'")
says("run params.lua -p size=big", 1, '--param size: this scenario\'s size is a number, not "big"')
says("run params.lua -p twice=maybe", 1, '--param twice: this scenario\'s twice is true or false, not "maybe"')
says("run params.lua -p sise=3", 2, nil, '--param sise: no scenario that was selected has a parameter "sise", did '
  .. 'you mean "size"?')

program.finish()
