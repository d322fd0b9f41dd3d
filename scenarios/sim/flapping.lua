-- A link that comes and goes, faster than anybody notices: TCP hides it, the messages are only late.
local rig = require "mqrig"
local scenario, expect, net = rig.scenario, rig.expect, rig.net

scenario("a flapping link delays messages, and loses, doubles and reorders none",
  { net = "sim", tags = "sim", timeout = "10m" }, function(t)
    local reader = t:connect { name = "reader" }
    reader:subscribe("log", 2)
    local writer = t:connect { name = "writer" }

    local flapping = t:spawn(function()
      for _ = 1, 60 do
        net:partition(writer, t.broker)
        t:sleep(0.4)
        net:heal(writer, t.broker)
        t:sleep(0.6)
      end
    end)
    local sent = {}
    for i = 1, 120 do
      sent[i] = writer:send("log", tostring(i), { qos = 2 })
      t:sleep(0.5)
    end
    flapping:join { within = "2m" }

    for i = 1, 120 do
      expect(sent[i]:wait { within = "1m" }):equals(0)
      expect(reader:next_message().payload):equals(tostring(i))
    end
    reader:expect_no_message()
    expect(writer.state):equals("connected")
  end)
