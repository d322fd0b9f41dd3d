-- Whatever is added and removed in whatever order, the first is the earliest, and of equal ones the one added first.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local deadlines = require "mqrig.deadlines"
local random = require "mqrig.random"

local rng = random.new(7, "deadlines")
for _ = 1, 200 do
  local d, present, order = deadlines.new(), {}, 0
  for _ = 1, 60 do
    if rng:integer(1, 3) < 3 then
      order = order + 1
      local item = { order = order }
      d:add(item, rng:integer(1, 9))
      present[#present + 1] = item
    elseif #present > 0 then
      d:remove(table.remove(present, rng:integer(1, #present)))
    end
    table.sort(present, function(a, b)
      return a.due_ns < b.due_ns or (a.due_ns == b.due_ns and a.order < b.order)
    end)
    assert(d:first() == present[1])
    assert(d.size == #present)
  end
  while d:first() do
    assert(d:first() == table.remove(present, 1))
    d:remove(d:first())
  end
  assert(#present == 0 and d.size == 0)
end

local d, item = deadlines.new(), {}
d:remove(item)
d:add(item, 1)
assert(not pcall(d.add, d, item, 2), "an item is in at most once")
