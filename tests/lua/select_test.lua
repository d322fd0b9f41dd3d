-- Selection: by line, text, tag, clause, last failure; shards are disjoint and whole; the shuffle is the seed's.

dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local select_ = require "mqrig.select"

local function one(file, name, line, last_line, tags, clause)
  return { file = file, name = name, line = line, last_line = last_line, tags = tags or {}, clause = clause or {} }
end

local all = {
  one("a.lua", "connect refused", 3, 10, { "net", "slow" }, { "MQTT-3.1.0-1" }),
  one("a.lua", "publish", 12, 20, { "net" }, { "MQTT-3.3.1-2", "MQTT-3.3.10-1" }),
  one("a.lua", "family 1", 25, 25),
  one("a.lua", "family 2", 25, 25),
  one("b.lua", "Publish twice", 5, 9, { "qos" }, { "3.1.1:3.3.1-2" }),
}
all[3].body_line, all[3].body_last_line = 22, 24
all[4].body_line, all[4].body_last_line = 22, 24

local function pick(options, entries, last_failed)
  local settings = { filter = {}, exclude = {}, tag = {}, clause = {}, seed = 1 }
  for key, value in pairs(options) do
    settings[key] = value
  end
  local names = {}
  local list = select_.select(all, entries or { { file = "a.lua" }, { file = "b.lua" } }, settings, last_failed)
  for i, scenario in ipairs(list) do
    names[i] = scenario.name
  end
  return table.concat(names, ", ")
end

local function same(got, expected)
  assert(got == expected, ("expected %s, got %s"):format(expected, got))
end

local everything = "connect refused, publish, family 1, family 2, Publish twice"
same(pick {}, everything)

-- By line: inside, before, between, in the body of a family, after the last.
local function at(...)
  return pick({}, { { file = "a.lua", lines = { ... } } })
end
same(at(3), "connect refused")
same(at(7), "connect refused")
same(at(10), "connect refused")
same(at(1), "connect refused")
same(at(11), "publish")
same(at(23), "family 1, family 2")
same(at(25), "family 1, family 2")
same(at(26), "")
same(at(4, 15), "connect refused, publish")

same(pick { filter = { "PUBLISH" } }, "publish, Publish twice")
same(pick { filter = { "b.lua" } }, "Publish twice")
same(pick { filter = { "refused", "twice" } }, "connect refused, Publish twice")
same(pick { exclude = { "family", "b.lua: p" } }, "connect refused, publish")
same(pick { filter = { "%" } }, "")
same(pick { tag = { "net" } }, "connect refused, publish")
same(pick { tag = { "net", "!slow" } }, "publish")
same(pick { tag = { "!net" } }, "family 1, family 2, Publish twice")
same(pick { clause = { "MQTT-3.3.1-2" } }, "publish")
same(pick { clause = { "3.3.1-2" } }, "publish, Publish twice")
same(pick { clause = { "3.3.1" } }, "publish, Publish twice")
same(pick { clause = { "3.1" } }, "connect refused")
same(pick { clause = { "3.3.1", "3.1.0" } }, "connect refused, publish, Publish twice")
same(pick({}, nil, { ["a.lua: publish"] = true }), "publish")

-- Shards: every scenario in exactly one of them.
for of = 1, 7 do
  local seen, count = {}, 0
  for index = 1, of do
    for name in (pick { shard = { index = index, of = of } } .. ", "):gmatch "(.-), " do
      if name ~= "" then
        assert(not seen[name])
        seen[name], count = true, count + 1
      end
    end
  end
  assert(count == #all)
end

-- The shuffle: the same for a seed, all there, and some seed changes the order.
local orders = {}
for seed = 1, 20 do
  local order = pick { shuffle = true, seed = seed }
  same(pick { shuffle = true, seed = seed }, order)
  assert(#order == #everything)
  orders[order] = true
end
assert(next(orders, next(orders)))

local settings = { tag = { "qso" }, filter = {} }
assert(select_.explain_nothing(all, { 1 }, settings):find 'did you mean "qos"')
