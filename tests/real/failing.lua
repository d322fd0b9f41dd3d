-- Scenarios that fail, each with `says`: what its message is to contain, at the line that ends in "-- here". Run by
-- library_test.lua.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local function fails(name, says, fn, timeout)
  scenario(name, { params = { says = says }, timeout = timeout or 5 }, fn)
end

fails("an expectation", "the values are not equal", function(t)
  local c = t:connect()
  expect(c:try_publish("a", "b", { qos = 1 })):equals(mqtt.ERROR_OPERATION_INCOMPLETE) -- here
end)

fails("a verb", 'publish to "a": -11 (ERROR_OPERATION_INCOMPLETE)', function(t)
  local peer = t:peer()
  peer:on("PUBLISH", function(conn) conn:rst() end)
  t:connect({ broker = peer }):publish("a", "b", { qos = 1 }) -- here
end)

fails("its time", "did not end within 300.0 ms, while awaiting the end of a sleep", function(t)
  t:sleep(5) -- here
end, 0.3)

fails("never yielding", "never yields", function()
  while true do end -- here
end, 0.3)

fails("never yielding in a callback", "never yields", function(t)
  local c = t:connect()
  c.mqtt:onmessage(function()
    while true do end -- here
  end)
  c:subscribe("a")
  c:publish("a", "x")
  t:sleep(5)
end, 0.3)

fails("an error in a handler of a peer", "in a handler", function(t)
  local peer = t:peer()
  peer:on("PUBLISH", function()
    t:sleep(0.001)
    error "in a handler" -- here
  end)
  t:connect({ broker = peer }):publish("a", "b", { qos = 1 })
end)

fails("an unknown option", 'did you mean "keepalive"', function(t)
  t:connect { keepalve = 3 } -- here
end)

fails("an unknown verb", 'did you mean "publish"', function(t)
  t:client():publsh("a") -- here
end)

fails("an unknown packet", 'did you mean "PUBACK"', function(t)
  t:client():wait_sent("PUBAK") -- here
end)

fails("an unknown field to wait for", 'did you mean "payload"', function(t)
  t:connect():wait_sent("PUBLISH", { payloud = 1 }) -- here
end)

fails("an unknown field to send", "packet_id", function(t)
  local peer = t:peer()
  t:connect { broker = peer }
  peer:send("PUBACK", { packetid = 3 }) -- here
end)

fails("a packet that does not come", "no PUBLISH { qos=1 } was sent within 0.1 s: but { ", function(t)
  local c = t:connect()
  c:publish("a", "b")
  c:wait_sent("PUBLISH", { qos = 1, within = 0.1 }) -- here
end)

fails("a message that does not come", "no message came within 0.05 s", function(t)
  t:connect():next_message { within = "50ms" } -- here
end)

fails("a message that should not come", "a message came", function(t)
  local c = t:connect()
  c:subscribe("a")
  c:publish("a", "b")
  c:expect_no_message() -- here
end)

fails("a rule that did not fire", "was to fire", function(t)
  local c = t:connect()
  c.link.up:on("PUBLISH"):nth(3):at_byte(7):rst() -- here
  c:publish("a", "x", { qos = 1 })
end)

fails("a rule without an action", "has no action", function(t)
  t:connect().link.up:on("PUBLISH"):first() -- here
end)

fails("a rule about nothing", 'did you mean "PUBLISH"', function(t)
  t:connect().link.up:on("PUBLSH"):drop() -- here
end)

fails("an action without a connection", "no connection that is up", function(t)
  t:client().link:rst() -- here
end)

fails("a program that is not there", "no-such-program", function(t)
  t:process { "no-such-program" } -- here
end)

