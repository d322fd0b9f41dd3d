-- Text of any value: stable, bounded, safe on a terminal.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
local show = require "mqrig.show"

local function is(got, wanted)
  assert(got == wanted, ("got %s, wanted %s"):format(got, wanted))
end

is(show.value(nil), "nil")
is(show.value(1), "1")
is(show.value(1.5), "1.5")
is(show.value "a\n\"b\0", [["a\n\"b\x00"]])
is(show.value "größe", '"größe"')
is(show.value "\xff\xc3", [["\xff\xc3"]])
is(show.value {}, "{}")
is(show.value { 1, 2, x = { y = "z" }, [10] = true }, '{ 1, 2, [10]=true, x={ y="z" } }')
is(show.value { b = 1, a = 2, ["c d"] = 3 }, '{ a=2, b=1, ["c d"]=3 }')
is(show.value { { { { { 1 } } } } }, "{ { { { {...} } } } }")

local loop = { n = 1 }
loop.self = loop
is(show.value(loop), "{ n=1, self={ itself } }")

local many = {}
for i = 1, 1000 do
  many[i] = i
end
assert(show.value(many):find "more }$", "a long list is cut")
assert(#show.value(("x"):rep(100000)) < 300, "a long text is cut")
assert(show.value(("x"):rep(1000)):find "%(1000 bytes%)", "and says how long it was")
assert(utf8.len(show.value(("ä"):rep(1000))), "not inside a character")

local thing = setmetatable({}, { __tostring = function() return "thing: 0x55aa" end })
local kind = setmetatable({}, { __name = "kind" })
for _, value in ipairs { print, io.stdout, coroutine.create(print), thing, kind } do
  assert(not show.value(value):find "0x", "no addresses")
end
is(show.value(setmetatable({}, { __tostring = error })), "an object whose __tostring fails")

is(show.code(-11), "-11 (ERROR_OPERATION_INCOMPLETE)")
is(show.code(5), "5")
is(show.result(-10), "-10 (ERROR_NO_MORE_MSGIDS)")
is(show.result(0), "0")
