-- A fleet of clients behind a link that breaks: nobody is told of a partition, so everybody finds out by keepalive.
local rig = require "mqrig"
local scenario, expect, net = rig.scenario, rig.expect, rig.net

scenario("a fleet comes through a partition: what was under way arrives once it is over",
  { net = "sim", tags = "sim", timeout = "2h" }, function(t)
    local control = t:connect { name = "control", id = "control" }
    control:subscribe("fleet/#", 1)

    local fleet = {}
    for i = 1, 50 do
      fleet[i] = t:connect { id = ("car-%d"):format(i), clean = false, keepalive = 30 }
    end
    net:partition(fleet, t.broker)

    local sent = {}
    for i, car in ipairs(fleet) do
      sent[i] = car:send(("fleet/%d"):format(i), "in the tunnel", { qos = 1 })
    end
    for _, car in ipairs(fleet) do
      expect(car:wait_lost { within = "2m" }):equals(-1) -- no PINGRESP came
    end
    control:expect_no_message { for_ = 1 }

    net:heal(fleet, t.broker)
    for _, car in ipairs(fleet) do
      car:connect()
    end
    for i in ipairs(fleet) do
      expect(sent[i]:wait()):equals(0)
    end
    local seen = {}
    for _ in ipairs(fleet) do
      seen[control:next_message().topic] = true
    end
    for i in ipairs(fleet) do
      expect(seen[("fleet/%d"):format(i)]):is_true()
    end
  end)
