-- Typed hex, and distributions as text.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
local fault = require "mqrig.fault"

local function is(text, bytes)
  local got = fault.raw(text)
  assert(got == bytes, ("%s gave %s"):format(text, got:gsub(".", function(c) return ("%02x "):format(c:byte()) end)))
end

is("62 r2 m1", "\x62\x02\x00\x01")
is("", "")
is("  6202 0001  ", "\x62\x02\x00\x01")
is("0x30 r0", "\x30\0")
is("r127 r128 r16383 r16384 r268435455", "\x7f\x80\x01\xff\x7f\x80\x80\x01\xff\xff\xff\x7f")
is("m65535", "\xff\xff")
is('s"MQTT" 04', "\0\4MQTT\4")
is('s"" b"a b\\x00"', "\0\0a b\0")

local function refused(text, pattern)
  local ok, why = pcall(fault.raw, text)
  assert(not ok and why:find "fault_test.lua:%d+: " and why:find(pattern), tostring(why))
end
refused("62 6", "column 4")
refused("zz", "column 1")
refused("m65536", "16%-bit")
refused("r268435456", "remaining length")
refused('s"open', "column 1")
refused(7, "takes a text")

assert(tostring(fault.normal(0.120, 0.030)) == "normal(0.12,0.03)")
assert(tostring(fault.uniform("10ms", 1)) == "uniform(10ms,1)")
assert(tostring(fault.exponential("50us")) == "exponential(50us)")
assert(fault.is_distribution(fault.normal(1, 1)) and not fault.is_distribution(1))
