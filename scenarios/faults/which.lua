-- Which packets a rule means, by what they are: every selector, and every way to say what a rule is about.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

-- The payloads that a dropping rule lets by, of one message of each kind.
local kinds = {
  { "a", qos = 0 },
  { "b", qos = 1 },
  { "c", qos = 2 },
  { "d", qos = 0, retain = true },
  { "e", qos = 1, topic = "which/other/deep" },
  { "f" .. ("x"):rep(300), qos = 0 },
}

local function left(t, rule)
  local peer = t:peer()
  local c = t:connect { broker = peer, id = "client-7" }
  local dropping = rule(c.link.up:on("PUBLISH")):may_fire():drop()
  for _, kind in ipairs(kinds) do
    c:send(kind.topic or "which", kind[1], { qos = kind.qos, retain = kind.retain })
  end
  t:wait(function() return dropping.fired + #peer:received("PUBLISH") == #kinds end)
  local got = {}
  for i, packet in ipairs(peer:received("PUBLISH")) do
    got[i] = packet.payload:sub(1, 1)
  end
  return table.concat(got)
end

local cases = {
  { "qos(1)", "acdf", function(rule) return rule:qos(1) end },
  { "id(2)", "abdef", function(rule) return rule:id(2) end },
  { 'topic "which/#"', "", function(rule) return rule:topic "which/#" end },
  { 'topic "which/+/deep"', "abcdf", function(rule) return rule:topic "which/+/deep" end },
  { 'client "client-?"', "", function(rule) return rule:client "client-?" end },
  { 'client "*-8"', "abcdef", function(rule) return rule:client "*-8" end },
  { "dup()", "abcdef", function(rule) return rule:dup() end },
  { "dup(false)", "", function(rule) return rule:dup(false) end },
  { "retain()", "abcef", function(rule) return rule:retain() end },
  { "retain(false)", "d", function(rule) return rule:retain(false) end },
  { "size(300)", "abcde", function(rule) return rule:size(300) end },
  { "size(0, 20)", "ef", function(rule) return rule:size(0, 20) end },
  { "where", "bcdef", function(rule) return rule:where(function(packet) return packet.payload == "a" end) end },
  { "qos and topic", "abcdf", function(rule) return rule:qos(1):topic "which/other/#" end },
}
for _, case in ipairs(cases) do
  local name, wanted, rule = table.unpack(case)
  scenario(("%s leaves %s"):format(name, wanted == "" and "none" or wanted), function(t)
    expect(left(t, rule)):equals(wanted)
  end)
end

scenario("client: of a peer's clients the one of that name, whenever the rule is made", function(t)
  local peer = t:peer()
  local one, two = t:connect { broker = peer, id = "one" }, t:connect { broker = peer, id = "two" }
  local rule = peer.up:on("PUBLISH"):client "t*":delay(0)
  local three = t:connect { broker = peer, id = "three" }
  for _, c in ipairs { one, two, three } do
    c:publish("which", c.id, { qos = 1 })
  end
  expect(rule.fired):equals(2)
end)

scenario("dup: what is sent again after a reconnect", function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):drop()
  local c = t:connect { broker = peer, clean = false }
  local again = c.link.up:on("PUBLISH"):dup():must_fire():delay(0)
  local sent = c:send("which", "x", { qos = 1 })
  held:wait()
  expect(again.seen):equals(0)
  held:off()
  c.link:rst()
  c:wait_lost()
  c:connect()
  expect(sent:wait()):equals(0)
  expect(again.fired):equals(1)
end)

scenario("reason: a refusal, and not an acceptance", function(t)
  local peer = t:peer()
  local refusals = peer.down:on("CONNACK"):reason(4):rewrite(function(packet) packet.reason_code = 5 end)
  t:connect { broker = peer }
  expect(refusals.seen):equals(0)
  peer:on("CONNECT", function(conn) conn:send("CONNACK", { reason_code = 4 }) end)
  expect(t:client { broker = peer }:try_connect()):equals(5)
  expect(refusals.fired):equals(1)
end)

scenario("several packets by name, any packet, bytes, the close", function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  local named = c.link:on("PUBLISH", "PUBREL"):delay(0)
  local any = c.link.up:on("any"):delay(0)
  local bytes = c.link.up:on("bytes"):delay(0)
  local close = c.link.down:on("close"):delay(0)
  c:publish("which", "x", { qos = 2 })                    -- PUBLISH, PUBREC, PUBREL, PUBCOMP
  expect(named.fired):equals(2)
  expect(any.fired):equals(2)
  expect(bytes.fired):equals(1)
  peer:conn():close()
  c:wait_lost()
  expect(close.fired):equals(1)
end)

scenario("a rule by its text has a name, counts, and ends", function(t)
  local c = t:connect()
  local rule = c.link:rule "up PUBLISH qos 1 times 2 delay 1ms must_fire 2 name late"
  for _ = 1, 3 do
    c:publish("which", "x", { qos = 1 })
  end
  expect(rule.text):equals "up PUBLISH qos 1 times 2 delay 1ms must_fire 2 name late"
  expect(rule.seen):equals(3)
  expect(rule.fired):equals(2)
  rule:off()
  c:publish("which", "x", { qos = 1 })
  expect(rule.seen):equals(3)
end)
