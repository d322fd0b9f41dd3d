-- A scenario is a name and a function. `t` makes what the scenario needs, and closes it all at the end.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

scenario("a published message reaches a subscriber", function(t)
  local reader = t:connect()
  reader:subscribe("greetings/#", 1)

  local writer = t:connect()
  writer:publish("greetings/world", "hello", { qos = 1 })

  local message = reader:next_message()
  expect(message.topic):equals("greetings/world")
  expect(message.payload):equals("hello")
end)
