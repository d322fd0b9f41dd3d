-- Each verb passes what it should; what it refuses raises with expected, got, the line, and the near miss.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
require "jumping_core"
local expect = require("mqrig.expect").expect
local failure = require "mqrig.failure"

local function fails(fn)
  local ok, e = pcall(fn)
  assert(not ok, "an expectation passed that should not")
  assert(failure.is(e), tostring(e))
  assert(e.file and e.file:find "expect_test.lua$" and e.line > 0)
  return e
end

-- What holds.
expect(1):equals(1):equals(1.0):differs(2):differs("1")
expect({ 1, { a = "x" } }):equals { 1, { a = "x" } }
expect(0 / 0):equals(0 / 0)
expect(nil):is_nil():equals(nil):differs(false)
expect(true):is_true()
expect(false):is_false()
expect("abc"):contains("b"):matches("^a.c$")
expect({ 1, "x", { id = 3 } }):contains("x"):contains { id = 3 }
expect({ topic = "a", qos = 1 }):contains({ qos = 1 }):matches { topic = "a" }
expect(5):is_between(5, 6):is_at_least(5):is_at_most(5.5):is_one_of { 1, 5 }
expect(function() error "boom %d" end):raises():raises("boom"):raises("boom %d"):raises("b..m")
expect(function() error { code = 1 } end):raises()

-- What does not.
local e = fails(function() expect(-1):equals(-11) end)
assert(e.expected == "-11 (ERROR_OPERATION_INCOMPLETE)" and e.got == "-1 (FAILURE)")
e = fails(function() expect(0):equals(-3) end)
assert(e.got == "0 (SUCCESS)", e.got)
e = fails(function() expect(0):equals(7) end)
assert(e.got == "0", "plain numbers are plain")
e = fails(function() expect("1"):equals(1) end)
assert(e.message:find "look alike", e.message)
e = fails(function() expect("Hello"):equals("hello") end)
assert(e.message:find "case only")
e = fails(function() expect("a b"):equals("a  b") end)
assert(e.message:find "white space only")
e = fails(function() expect("hello world"):equals("hello mars!") end)
assert(e.message:find "from byte 7", e.message)
e = fails(function() expect("hello"):equals("hello!") end)
assert(e.message:find "1 are missing at the end", e.message)
e = fails(function() expect({ a = { b = 1 } }):equals { a = { b = 2 } } end)
assert(e.message:find("it.a.b is 1, not 2", 1, true), e.message)
e = fails(function() expect({ 1, 2 }):equals { 1, 2, 3 } end)
assert(e.message:find "2 items, not 3", e.message)
e = fails(function() expect(1):is_true() end)
assert(e.expected == "true" and e.got == "1" and e.message:find "compare with 1")
e = fails(function() expect(nil):is_false() end)
assert(e.got == "nil")
e = fails(function() expect(5):differs(5) end)
assert(e.expected:find "anything but 5")
e = fails(function() expect("abc"):matches("b%") end and function() expect("abc"):matches("x") end)
assert(e.got == '"abc"')
e = fails(function() expect("1+1"):matches("1+1") end)
assert(e.message:find "letter by letter", e.message)
e = fails(function() expect("ABC"):contains("b") end)
assert(e.message:find "letter case")
e = fails(function() expect({ "1" }):contains(1) end)
assert(e.message:find "nearest is", e.message)
e = fails(function() expect("5"):is_at_least(5) end)
assert(e.message:find "looks like one")
e = fails(function() expect(7):is_between(1, 6) end)
assert(e.expected == "a number from 1 to 6")
e = fails(function() expect(-1):is_one_of { 0, -11 } end)
assert(e.expected:find "ERROR_OPERATION_INCOMPLETE")
e = fails(function() expect(function() end):raises("x") end)
assert(e.got == "none")
e = fails(function() expect(function() error("other", 0) end):raises("x") end)
assert(e.got == '"other"')

-- Misuse: at the user's line, with the near name.
local function misused(fn, pattern)
  local ok, why = pcall(fn)
  assert(not ok and type(why) == "string" and why:find "expect_test.lua:%d+: " and why:find(pattern), tostring(why))
end
misused(function() expect(1):equal(1) end, 'did you mean "equals"')
misused(function() expect(1).equals(1) end, "colon")
misused(function() expect("a"):matches("%") end, "no Lua pattern")
misused(function() expect(1):raises() end, "takes a function")
misused(function() expect(1):is_at_least("2") end, "a bound is a number")
misused(function() expect(1):is_one_of(1) end, "takes a list")
