-- `send` does not wait: it gives a token, whose `code` is nil until it is known what became of the message.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("many messages on their way at once, each with its own result", function(t)
  local client = t:connect()
  local tokens = {}
  for i = 1, 100 do
    tokens[i] = client:send("tour/tokens", "message " .. i, { qos = i % 3 })
  end
  for _, token in ipairs(tokens) do
    expect(token:wait()):equals(mqtt.SUCCESS)
  end
end)

scenario("a send without a connection is certainly not sent", function(t)
  local client = t:client()
  expect(client:send("tour/tokens", "x").code):equals(mqtt.ERROR_DISCONNECTED)
end)
