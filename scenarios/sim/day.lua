-- A day of nothing but keepalive takes a few milliseconds.
local rig = require "mqrig"
local scenario, expect, clock = rig.scenario, rig.expect, rig.clock

scenario("a day of keepalive: a ping a minute, and the connection stays",
  { net = "sim", tags = "sim", timeout = "25h" }, function(t)
    local peer = t:peer()
    local c = t:connect { broker = peer, keepalive = 60 }
    t:sleep "24h"
    expect(c.state):equals("connected")
    expect(#peer:received("PINGREQ")):is_between(1435, 1440)
  end)

scenario("a client whose clock is much too slow is closed after one and a half keepalives",
  { net = "sim", tags = "sim", timeout = "10m" }, function(t)
    local c = t:connect { keepalive = 60 }
    clock(c):drift(1, 3) -- it takes 180 s for 60
    local began = t:now()
    expect(c:wait_lost { within = "5m" }):equals(-1)
    expect(t:now() - began):is_between(89, 95)
  end)
