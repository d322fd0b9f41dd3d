-- Scenarios that fail, each in a way of its own: their reports are compared with the files beside this one.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local function connected(t, options)
  local peer = t:peer(options)
  return peer, t:connect { broker = peer, id = "tester" }
end

scenario("a value is another one", { tags = { "values" }, clause = "MQTT-4.3.2-1" }, function(t)
  local _, c = connected(t)
  c:subscribe("greetings/#", 1)
  c:publish("greetings/world", "hello", { qos = 1 })
  expect(c:next_message().payload):equals("hallo")
end)

scenario("a result code is another one", function(t)
  local peer, c = connected(t)
  peer.down:on("PUBACK"):rst()
  expect(c:try_publish("a", "b", { qos = 1 })):equals(mqtt.SUCCESS)
end)

scenario("an acknowledgement is dropped", function(t)
  local peer, c = connected(t)
  peer.down:on("PUBACK"):nth(2):drop()
  c:publish("a", "first", { qos = 1 })
  c:publish("a", "second", { qos = 1, within = 0.1 })
end)

scenario("a table differs deep inside", function()
  expect({ list = { 1, 2, { name = "x" } } }):equals { list = { 1, 2, { name = "y" } } }
end)

scenario("long texts differ late", function()
  expect(("0123456789"):rep(20) .. "end"):equals(("0123456789"):rep(20) .. "END")
end)

scenario("bytes that cannot be printed", function(t)
  local _, c = connected(t)
  c:subscribe "bin"
  c:publish("bin", "\0\1\27[31m\xff")
  expect(c:next_message().payload):equals("\0\1\27[32m\xfe")
end)

scenario("an error in a function of a function", function()
  local function inner(value)
    return value.field.more
  end
  local function outer()
    return inner {}
  end
  outer()
end)

scenario("a mistyped name", function(t)
  t:connect { kepalive = 30 }
end)

scenario("no message comes", function(t)
  local _, c = connected(t)
  c:next_message { within = 0.1 }
end)

scenario("a rule that never had its turn", function(t)
  local peer, c = connected(t)
  peer.down:on("PUBACK"):nth(3):drop()
  c:publish("a", "b", { qos = 1 })
end)

scenario("its time is over", { timeout = 0.2 }, function(t)
  t:log("waiting for", { what = "nothing" })
  t:sleep(30)
end)

scenario("it never waits", { timeout = 0.1 }, function()
  local n = 0
  while true do
    n = n + 1
  end
end)

scenario("printing and a process", function(t)
  print("a line", 1, nil)
  local p = t:process { "sh", "-c", "echo to stdout; exit 3" }
  expect(p:wait()):equals(0)
end)

scenario("it needs another broker", { broker = "mosquitto" }, function() end)

scenario("it passes", function(t)
  print "not shown"
  connected(t)
end)
