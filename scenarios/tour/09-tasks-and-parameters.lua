-- Scenarios are coroutines: a wait in one task lets the others run. Parameters come from the file, or from `mqrig run -p messages=50`.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

scenario("a publisher and a consumer side by side", { params = { messages = 10 } }, function(t)
  local reader = t:connect()
  reader:subscribe("tour/tasks", 1)

  local writing = t:spawn(function()
    local writer = t:connect()
    for i = 1, t.params.messages do
      writer:publish("tour/tasks", tostring(i), { qos = 1 })
    end
    return "done"
  end)

  for i = 1, t.params.messages do
    expect(reader:next_message().payload):equals(tostring(i))
  end
  expect(writing:join()):equals("done")
end)
