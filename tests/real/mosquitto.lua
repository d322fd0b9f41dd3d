-- A mosquitto of a scenario's own: start, stop, restart, what is kept, and its log. Run by library_test.lua.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

scenario("restart keeps sessions, kill loses them", function(t)
  local m = t:mosquitto { conf = { "max_inflight_messages 1", "max_queued_messages 10" } }
  local c = t:connect { broker = m, clean = false, id = "p" }
  c:subscribe("a", 2)
  c:publish("a", "x", { qos = 2, retain = true })
  expect(c:next_message().payload):equals("x")
  m:restart()
  expect(c:wait_lost()):equals(-1)
  c:connect()
  expect(c:wait_received("CONNACK", { session_present = true }).reason_code):equals(0)
  m:kill()
  expect(c:wait_lost()):equals(-1)
  m:start()
  expect(m:log()):contains("running")
  c:connect()
  m:restart { persist = false }
  c:wait_lost()
  c:connect()
  expect(c:wait_received("CONNACK", { session_present = false }).reason_code):equals(0)
end)

scenario("pause and resume", function(t)
  local m = t:mosquitto()
  local c = t:connect { broker = m }
  m:pause()
  local sent = c:send("a", "x", { qos = 1 })
  t:sleep(0.05)
  expect(sent.code):is_nil()
  m:resume()
  expect(sent:wait()):equals(0)
  m:pause()
  m:stop()
  expect(c:wait_lost()):equals(-1)
end)

scenario("many at once", function(t)
  local tasks = {}
  for i = 1, 8 do
    tasks[i] = t:spawn(function()
      local c = t:connect { broker = t:mosquitto() }
      c:publish("a", "x", { qos = 2 })
    end)
  end
  for _, task in ipairs(tasks) do
    task:join()
  end
end)

scenario("a configuration that is wrong", function(t)
  expect(function() t:mosquitto { conf = "no_such_option 1" } end):raises("no_such_option")
end)

scenario("a client under test", function(t)
  local m = t:mosquitto()
  local c = t:connect { broker = m }
  c:subscribe("from/outside")
  c:publish("from/outside", "x")
  expect(c:next_message().payload):equals("x")
  c:disconnect()
end)
