-- Near names: what people mistype is found, what nobody would confuse is not.

dofile((arg[0]:match "^(.*)/" or ".") .. "/cli_core.lua")
local near = require "mqrig.near"

local words = {
  "retain", "qos", "packet_id", "topic", "payload", "drop", "delay", "cleansession", "fail-fast", "within",
}

for wrong, right in pairs {
  retian = "retain", QOS = "qos", packetid = "packet_id", ["packet-id"] = "packet_id", topc = "topic",
  paylaod = "payload", dorp = "drop", deley = "delay", clean_session = "cleansession", fail = "fail-fast",
  wihtin = "within", topics = "topic",
} do
  assert(near.find(wrong, words) == right, wrong .. " gives " .. tostring(near.find(wrong, words)))
end

for _, far in ipairs { "zzz", "x", "", "frobnicate", ("a"):rep(1000) } do
  assert(near.find(far, words) == nil, far:sub(1, 20))
end
assert(near.find(nil, words) == nil and near.find(7, words) == nil)

assert(near.suggest("retian", words) == 'did you mean "retain"?')
assert(near.suggest("zzz", words) == nil)

-- Equally near ones: the first in the alphabet, in whatever order the list is.
assert(near.find("bat", { "cat", "bad" }) == "bad")
assert(near.find("bat", { "bad", "cat" }) == "bad")

local ok, message = pcall(function()
  near.check({ qos = 1, retian = 1 }, words, "publish")
end)
assert(not ok and message:find 'near_test.lua:%d+: publish: no option "retian", did you mean "retain"%?', message)
ok, message = pcall(near.check, { zzz = 1 }, { "a", "b" }, "x")
assert(not ok and message:find "known: a, b", message)
near.check({ qos = 1 }, { qos = true }, "publish")
