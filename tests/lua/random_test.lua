-- The same seed and name give the same numbers; each number lies in its range, and all of a small range come.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local random = require "mqrig.random"

local a, b, c = random.new(1, "x"), random.new(1, "x"), random.new(1, "y")
local same, differ = true, false
for _ = 1, 100 do
  local n = a:bits()
  same = same and n == b:bits()
  differ = differ or n ~= c:bits()
end
assert(same and differ)

local seen = {}
for _ = 1, 1000 do
  local n = a:integer(-2, 2)
  assert(n >= -2 and n <= 2)
  seen[n] = true
  local f = a:float()
  assert(f >= 0 and f < 1)
end
for n = -2, 2 do
  assert(seen[n])
end
assert(math.type(a:integer(math.mininteger, math.maxinteger)) == "integer")
assert(a:integer(5, 5) == 5)
assert(a:word(11):match "^[0-9a-z]+$" and #a:word(11) == 11)
