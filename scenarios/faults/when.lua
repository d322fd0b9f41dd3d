-- Which of the packets a rule means, and when: occurrences, times, and what happened before.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

-- Ten messages through a rule that drops; what arrives of "0123456789".
local function arrives(t, rule)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  rule(c.link.up:on("PUBLISH"):topic("faults/when")):drop()
  for i = 0, 9 do
    c:send("faults/when", tostring(i), { qos = 0 })
  end
  c:publish("faults/when/end", "", { qos = 1 })
  local got = {}
  for i, packet in ipairs(peer:received("PUBLISH")) do
    got[i] = packet.payload
  end
  return table.concat(got)
end

local cases = {
  { "first", "123456789", function(rule) return rule:first() end },
  { "nth(3)", "013456789", function(rule) return rule:nth(3) end },
  { "range(2, 4)", "0456789", function(rule) return rule:range(2, 4) end },
  { "every(3)", "0134679", function(rule) return rule:every(3) end },
  { "times(2)", "23456789", function(rule) return rule:times(2) end },
  { "every(2):times(2)", "02456789", function(rule) return rule:every(2):times(2) end },
  { "prob(0)", "0123456789", function(rule) return rule:prob(0) end },
  { "prob(1)", "", function(rule) return rule:prob(1) end },
  { "during(0, 60)", "", function(rule) return rule:during(0, 60) end },
  { "during(60, 70)", "0123456789", function(rule) return rule:during(60, 70) end },
  { "at(0)", "123456789", function(rule) return rule:at(0) end },
  { "where", "13579", function(rule) return rule:where(function(p) return p.payload % 2 == 0 end) end },
}
for _, case in ipairs(cases) do
  local name, left, rule = table.unpack(case)
  scenario(name .. " leaves " .. (left == "" and "none" or left), function(t)
    expect(arrives(t, rule)):equals(left)
  end)
end

scenario("after: what comes when another rule has fired", function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  local fourth = c.link.up:on("PUBLISH"):nth(4):drop()
  c.link.up:on("PUBLISH"):after(fourth):nth(2):drop()
  for i = 1, 8 do
    c:publish("faults/when", tostring(i), { qos = 0 })
  end
  c:publish("faults/when", "9", { qos = 1 })
  local got = {}
  for i, packet in ipairs(peer:received("PUBLISH")) do
    got[i] = packet.payload
  end
  expect(table.concat(got)):equals("1235789")
end)

scenario("after: by name, also on a later connection", function(t)
  local c = t:client()
  c.link.up:on("PUBLISH"):across():first():rst():name("the cut")
  local late = c.link.up:on("CONNECT"):after("the cut"):delay("50ms")
  c:connect()
  c:send("faults/when", "x", { qos = 1 })
  c:wait_lost()
  local began = t:now()
  c:connect()
  expect(t:now() - began):is_at_least(0.05)
  expect(late.fired):equals(1)
end)

scenario("at: by the clock, whether anything is sent or not", function(t)
  local c = t:connect()
  local began = t:now()
  c.link.up:on("bytes"):at(began + 0.1):rst()
  expect(c:wait_lost()):equals(-1)
  expect(t:now() - began):is_at_least(0.1)
end)

scenario("across: counted over all connections", function(t)
  local peer = t:peer()
  local rule = peer.up:on("CONNECT"):nth(3):across():drop()
  t:connect { broker = peer }
  t:connect { broker = peer }
  local third = t:client { broker = peer, timeout = 0.5 }
  expect(third:try_connect()):equals(-1)
  expect(rule.seen):equals(3)
end)
