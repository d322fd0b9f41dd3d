-- Loading: each file has its own world, its mistakes are named with their line, and no file hurts another.

dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local load_ = require "mqrig.load"
local paths = require "mqrig.paths"

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir -p " .. folder .. "/sub"))

local function write(name, content)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(content)
  file:close()
  return path
end

local function load_text(content)
  return load_.file(write("x.lua", content), 0)
end

local function refused(content, line, pattern)
  local list, problem = load_text(content)
  assert(list == nil, "it loaded")
  assert(problem.line == line, ("line %s: %s"):format(tostring(problem.line), problem.message))
  assert(problem.message:find(pattern), problem.message)
end

local head = 'local scenario = require("mqrig").scenario\n'

-- What is declared.
local list = assert(load_text(head .. [[
scenario("one", { tags = "a", clause = { "MQTT-1", "MQTT-2" }, timeout = "250ms", net = "real", params = { n = 1 } },
function(t)
  return t
end)
local function family(name)
  scenario(name, function() end)
end
family "two"
family "three"
]]))
assert(#list == 3)
assert(list[1].name == "one" and list[1].line == 2 and list[1].last_line == 5, list[1].last_line)
assert(list[1].tags[1] == "a" and #list[1].clause == 2 and list[1].timeout_s == 0.25 and list[1].params.n == 1)
assert(list[2].line == 9 and list[2].body_line == 7 and list[3].line == 10)

-- Mistakes.
refused("local x =\n\nend", 3, "unexpected symbol")
refused("local x = 1\nfoo = x", 2, 'undeclared global "foo" is assigned: write `local foo`')
refused("local x = 1\nx = prnt", 2, 'undeclared global "prnt" is read, did you mean "print"')
refused("\nscenario('x', function() end)", 2, 'write `local scenario = require%("mqrig"%)%.scenario`')
refused("\nrig.scenario('x', function() end)", 2, 'write `local rig = require "mqrig"`')
refused("\n\nerror 'boom'", 3, "boom")
refused("\nos.exit(0)", 2, "os.exit would end the whole run")
refused(head .. "\nscenario('x', { tag = 'a' }, function() end)", 3, 'no option "tag", did you mean "tags"')
refused(head .. "scenario('x', { net = 'reel' }, function() end)", 2, 'did you mean "real"')
refused(head .. "scenario('x', { timeout = 'soon' }, function() end)", 2, "a duration is")
refused(head .. "scenario('x', 7, function() end)", 2, "options is a table, not a number")
refused(head .. "scenario('x')", 2, "the last argument is a nil")
refused(head .. "scenario('', function() end)", 2, "not empty")
refused(head .. "scenario('a\\nb', function() end)", 2, "one line")
refused(head .. "scenario('x', function() end)\n\nscenario('x', function() end)", 4, "on line 2 and on line 4")
refused("error { 1 }", nil, "")
refused("coroutine.yield()", nil, "nothing can be waited for while the file loads")
refused("\27Lua", nil, "binary")
load_.LOAD_TIME_S = 0.2
refused("\nwhile true do end", 2, "never yields")
load_.LOAD_TIME_S = 10

-- A long path is named in full.
local long = ("deep/"):rep(20)
assert(os.execute("mkdir -p " .. folder .. "/" .. long))
local _, problem = load_.file(write(long .. "x.lua", "\nfoo = 1"), 0)
assert(problem.line == 2, problem.message)

-- Nothing leaks from one file to the next.
assert(load_text "string.upper = nil; table.insert = nil; os.exit = nil; rawset(_G, 'leak', 1)")
refused("local x = leak", 1, "undeclared")
assert(string.upper and table.insert and os.exit and rawget(_G, "leak") == nil)
assert(load_text "assert(string.upper and load('return print')() == print and _G._G == _G)")
assert(load_text "assert(not pcall(load('y = 1')))")

-- Modules beside the file: once each, in the file's environment, and their mistakes named.
write("helping.lua", "local M = { count = 0 }\nfunction M.more() M.count = M.count + 1 return M.count end\nreturn M")
write("sub/init.lua", "return 'sub'")
write("broken.lua", "\nbar = 1")
assert(load_text "assert(require('helping').more() == 1 and require('helping').more() == 2 and require 'sub' == 'sub')")
assert(load_text "assert(require('helping').more() == 1)")
refused("require 'broken'", nil, "broken.lua:2: undeclared global")
refused("\nrequire 'not_there'", 2, "no module")
refused("\nrequire 'mqrig.core'", 2, "inside mqrig")

-- Paths.
write("b.lua", "")
write(".hidden.lua", "")
write("notes.txt", "")
local entries = assert(paths.expand { folder .. "/sub", folder .. "//./b.lua:12", folder .. "/b.lua:3" })
assert(#entries == 2 and entries[2].file == paths.normal(folder .. "/b.lua") and #entries[2].lines == 2)
entries = assert(paths.expand { folder })
for _, entry in ipairs(entries) do
  assert(entry.file:find "%.lua$" and not entry.file:find "hidden", entry.file)
end
local nothing, sentence = paths.expand { folder .. "/c.lua" }
assert(nothing == nil and sentence:find "there is no file", sentence)
nothing, sentence = paths.expand { folder .. "/helpin.lua" }
assert(nothing == nil and sentence:find 'did you mean ".*helping.lua"', sentence)
assert(paths.normal "./a//b/../c.lua" == "a/c.lua" and paths.normal "/../x" == "/x" and paths.normal "../x" == "../x")

os.execute("rm -r " .. folder)
