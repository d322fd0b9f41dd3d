-- Conversations that capture_test.lua has captured and looks at with tshark. Each scenario passes.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

-- Every packet of MQTT 3.1.1 but the pings.
local function talk(t, options)
  local c = t:connect(options)
  c:subscribe({ "a", "b/#" }, 2)
  for qos = 0, 2 do
    c:publish("a", ("payload %d"):format(qos), { qos = qos })
    expect(c:next_message().qos):equals(qos)
  end
  c:unsubscribe { "a", "b/#" }
  c:disconnect()
end

scenario("conversation", talk)

scenario("mosquitto", function(t)
  talk(t, { broker = t:mosquitto() })
end)

scenario("IPv6", function(t)
  talk(t, { broker = t:builtin { url = "tcp://[::1]:0" } })
end)

scenario("Unix socket", function(t)
  talk(t, { broker = t:builtin { url = "unix://" .. os.tmpname() .. ".sock" } })
end)

scenario("a client that connects again", function(t)
  talk(t)
  talk(t)
  local c = t:connect()
  c:disconnect()
  c:connect()
  c:publish("a", "x", { qos = 1 })
end)

scenario("large", function(t)
  local c = t:connect()
  c:subscribe("large", 1)
  c:publish("large", ("0123456789"):rep(20000), { qos = 1 })
  expect(#c:next_message().payload):equals(200000)
end)

scenario("two at once", function(t)
  local one, two = t:connect(), t:connect()
  one:subscribe("x", 0)
  two:subscribe("x", 0)
  for i = 1, 20 do
    one:send("x", "one " .. i)
    two:send("x", "two " .. i)
  end
  for _ = 1, 40 do
    one:next_message()
    two:next_message()
  end
end)

scenario("faults", function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):first():drop()
  local c = t:connect { broker = peer }
  c.link.down:on("PUBACK"):first():delay "20ms"
  c.link.up:on("PUBLISH"):nth(2):split(3)
  c.link.up:on("PUBLISH"):nth(3):at_byte(5):rst()
  local dropped = c:send("a", "dropped", { qos = 1 })
  c:publish("a", "late", { qos = 1 })
  expect(dropped.code):is_nil()
  c:send("a", "cut off", { qos = 1 })
  expect(c:wait_lost()):equals(-1)
end)

scenario("proxy", function(t)
  local p = t:proxy { upstream = t.broker }
  p.down:on("PUBACK"):first():drop()
  p.down:on("SUBACK"):delay "20ms"
  local c = t:connect { broker = p }
  c:subscribe("b")
  c:send("a", "not acknowledged", { qos = 1 })
  c:publish("a", "acknowledged", { qos = 1 })
end)

scenario("a reset by the scenario", function(t)
  local c = t:connect()
  c.link:rst()
  expect(c:wait_lost()):equals(-1)
end)
