-- Durations and sizes: every unit, the edges, and that an error is raised at the line of the caller.

dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local units = require "mqrig.units"

local function same(got, expected)
  assert(got == expected, ("expected %s, got %s"):format(tostring(expected), tostring(got)))
end

for text, s in pairs {
  ["250ms"] = 0.25, ["10s"] = 10, ["2m"] = 120, ["1h"] = 3600, ["1.5"] = 1.5, ["0"] = 0, ["7us"] = 7e-6, ["3 s"] = 3,
  ["100ns"] = 1e-7, ["2MIN"] = 120,
} do
  assert(math.abs(units.duration(text) - s) < 1e-12, text)
end
same(units.duration(3), 3.0)
same(math.type(units.duration(3)), "float")
same(units.duration_ns "1ms", 1000000)
same(math.type(units.duration_ns(0.1)), "integer")

for _, bad in ipairs {
  "", "abc", "1x", "-1s", "1..5", "0x10", "s", "1e3", -1, 0 / 0, math.huge, {}, true, "99999999999s",
} do
  local s, sentence = units.parse_duration(bad)
  assert(s == nil and type(sentence) == "string", tostring(bad))
end

for text, bytes in pairs {
  ["64k"] = 65536, ["1MiB"] = 1 << 20, ["2kb"] = 2048, ["0"] = 0, ["1.5k"] = 1536, ["1G"] = 1 << 30,
} do
  same(units.size(text), bytes)
end
same(math.type(units.size(4096.0)), "integer")
for _, bad in ipairs { "", "1.5", "-1", "1q", {}, 0.5, 1 << 60 } do
  assert(units.parse_size(bad) == nil, tostring(bad))
end

local function raised(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok)
  return message
end

local message = raised(function()
  units.duration("soon", "within")
end)
assert(message:find "^[^:]*units_test.lua:%d+: within: a duration is", message)

local function verb(value)
  units.duration(value, "within", 2)
end
local line = debug.getinfo(1, "l").currentline + 2
message = raised(function()
  verb "soon"
end)
assert(message:find(":" .. line .. ":", 1, true), message)

same(units.show_duration_ns(12300000), "12.3 ms")
same(units.show_duration_ns(1250000000), "1.25 s")
same(units.show_duration_ns(125000000000), "2 min 5 s")
