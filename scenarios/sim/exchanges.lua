-- The small exchanges that everything is made of, for one fault at every byte of every packet:
-- mqrig explore --exhaustive rst,fin,vanish scenarios/sim/exchanges.lua --filter "QoS 2"
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

for qos = 0, 2 do
  scenario(("a message at QoS %d, both ways"):format(qos), function(t)
    local c = t:connect { clean = false, id = "both" }
    c:subscribe("exchanges/message", qos)
    c:publish("exchanges/message", "there and back", { qos = qos })
    expect(c:next_message().payload):equals("there and back")
    c:disconnect()
  end)
end

scenario("subscribe, and unsubscribe again", function(t)
  local c = t:connect()
  expect(c:subscribe({ "exchanges/a", "exchanges/+" }, 1)):equals({ 1, 1 })
  c:unsubscribe("exchanges/a")
  c:disconnect()
end)

scenario("a will, of who is lost", function(t)
  local watcher = t:connect()
  watcher:subscribe("exchanges/will", 2)
  local c = t:connect { will = { topic = "exchanges/will", payload = "gone", qos = 2 } }
  c.link:rst()
  expect(watcher:next_message().payload):equals("gone")
end)

scenario("another connection takes the identifier over", function(t)
  local first = t:connect { id = "one" }
  local second = t:connect { id = "one" }
  expect(first:wait_lost()):equals(-1)
  second:publish("exchanges/over", "mine", { qos = 1 })
end)

scenario("a session goes on where it was", function(t)
  local c = t:connect { clean = false, id = "kept" }
  c:subscribe("exchanges/kept", 2)
  local sent = c:send("exchanges/kept", "in flight", { qos = 2 })
  c:wait_sent("PUBLISH")
  c.link:rst()
  c:wait_lost()
  c:connect()
  expect(sent:wait()):equals(0)
  expect(c:next_message().payload):equals("in flight")
end)
