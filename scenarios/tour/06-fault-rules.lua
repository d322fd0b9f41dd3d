-- A fault rule is a sentence: where, what, which, position, action.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("the third PUBLISH is cut after seven bytes", function(t)
  local client = t:connect()
  client.link.up:on("PUBLISH"):nth(3):at_byte(7):rst()

  expect(client:try_publish("tour/rules", "one", { qos = 1 })):equals(mqtt.SUCCESS)
  expect(client:try_publish("tour/rules", "two", { qos = 1 })):equals(mqtt.SUCCESS)
  expect(client:try_publish("tour/rules", "three", { qos = 1 })):differs(mqtt.SUCCESS)
  expect(client:wait_lost()):equals(-1)
end)

scenario("acknowledgements are held, and let go one at a time", function(t)
  local client = t:connect()
  local held = client.link.down:on("PUBACK"):hold()
  local first = client:send("tour/rules", "one", { qos = 1 })
  local second = client:send("tour/rules", "two", { qos = 1 })
  t:wait(function() return held.seen == 2 end)

  held:release(1)
  expect(first:wait()):equals(mqtt.SUCCESS)
  expect(second.code):is_nil()

  held:release()
  expect(second:wait()):equals(mqtt.SUCCESS)
end)
