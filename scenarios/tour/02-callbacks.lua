-- Under the waiting verbs lies the API of callbacks: mqtt.createclient, client:createmessage, message:sendasync.
-- `t:await` turns one callback into a value.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("sendasync tells its callback what became of the message", function(t)
  local client <close> = mqtt.createclient()

  local code = t:await(function(done)
    client:onconnect(done)
    client:connect(t.broker.url, "tour-callbacks")
  end)
  expect(code):equals(mqtt.SUCCESS)

  local message = client:createmessage("tour/callbacks", "hello", { qos = mqtt.EXACTLY_ONCE })
  expect(t:await(function(done) message:sendasync(done) end)):equals(mqtt.SUCCESS)

  t:await(function(done) client:disconnect(done) end)
  expect(function() message:sendasync() end):raises("not connected")
end)
