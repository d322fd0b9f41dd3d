-- Clocks that are set while the program runs. A client must not take its own clock's jump for silence of the broker.
local rig = require "mqrig"
local scenario, expect, clock = rig.scenario, rig.expect, rig.clock

scenario("a client's clock jumps an hour ahead: it pings, is answered, and stays",
  { net = "sim", tags = "sim", timeout = "10m" }, function(t)
    local c = t:connect { keepalive = 60 }
    clock(c):jump "1h"
    c:wait_sent("PINGREQ", { within = 1 })
    c:wait_received("PINGRESP", { within = 1 })
    t:sleep "5m"
    expect(c.state):equals("connected")
  end)

scenario("a client's clock goes back an hour: the broker misses its pings and closes",
  { net = "sim", tags = "sim", timeout = "10m" }, function(t)
    local c = t:connect { keepalive = 60 }
    clock(c):jump "-1h"
    expect(c:wait_lost { within = "2m" }):equals(-1)
  end)

scenario("the broker's clock jumps ahead: silent clients are closed, and can come back",
  { net = "sim", tags = "sim", timeout = "10m" }, function(t)
    local c = t:connect { keepalive = 60 }
    clock(t.broker):jump "1h"
    expect(c:wait_lost { within = 1 }):equals(-1)
    c:connect()
    t:sleep "5m"
    expect(c.state):equals("connected")
  end)
