-- The fault proxy: it stands between a client and a broker that know nothing of it.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local tags = { tags = { "faults", "proxy" } }

scenario("a proxy without rules changes nothing", tags, function(t)
  local proxy = t:proxy()
  local a, b = t:connect { url = proxy.url }, t:connect { url = proxy.url }
  b:subscribe("proxy/#", 2)
  for qos = 0, 2 do
    a:publish("proxy/" .. qos, "hello", { qos = qos })
    expect(b:next_message()):contains { topic = "proxy/" .. qos, payload = "hello", qos = qos }
  end
  a:disconnect()
  b:disconnect()
  t:wait(function() return proxy.stats.open == 0 end)
  expect(proxy.stats.connections):equals(2)
  expect(proxy.stats.packets_up):is_at_least(9)
end)

scenario("a reset of the proxy is a reset for both ends", tags, function(t)
  local peer = t:peer()
  local proxy = t:proxy { upstream = peer }
  proxy.up:on("PUBLISH"):nth(2):at_byte(7):rst()
  local c = t:connect { url = proxy.url }
  c:publish("a", "one", { qos = 1 })
  local sent = c:send("a", "two", { qos = 1 })
  expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(c:wait_lost()):equals(-1)
  t:wait(function() return not peer:conn() end)
  local ended = peer.url:find "^unix" and "closed" or "reset" -- a Unix socket carries no reset
  expect(peer:log()):contains("connection 1 ended: " .. ended .. " by the other end")
  expect(#peer:received "PUBLISH"):equals(1)
end)

scenario("a dropped PUBACK leaves a publish waiting, and the client resends it", tags, function(t)
  local proxy = t:proxy()
  local c = t:connect { url = proxy.url, clean = false }
  local dropping = proxy.down:on("PUBACK"):drop()
  local sent = c:send("a", "x", { qos = 1 })
  dropping:wait()
  expect(sent.code):is_nil()
  dropping:off()
  proxy:conn():rst()
  c:wait_lost()
  c:connect()
  expect(sent:wait()):equals(0)
end)

scenario("a rule of one connection leaves the others alone", tags, function(t)
  local proxy = t:proxy()
  local a, b = t:connect { url = proxy.url }, t:connect { url = proxy.url }
  expect(proxy:conn(1).client_id):equals(a.id)
  proxy:conn(1).up:on("PUBLISH"):fin()
  b:publish("a", "goes through", { qos = 1 })
  expect(proxy:conn(2).is_open):is_true()
  a:send("a", "ends it", { qos = 1 })
  expect(a:wait_lost()):equals(-1)
  b:publish("a", "still does", { qos = 1 })
end)

scenario("a delay holds everything behind it, in order", tags, function(t)
  local proxy = t:proxy()
  local c = t:connect { url = proxy.url }
  c:subscribe("late/#", 1)
  local slow <close> = proxy.up:on("PUBLISH"):delay(0.05)
  local began = t:now()
  for n = 1, 3 do
    c:send("late/" .. n, "x", { qos = 1 })
  end
  for n = 1, 3 do
    expect(c:next_message().topic):equals("late/" .. n)
  end
  expect(t:now() - began):is_at_least(0.05)
  expect(slow.fired):equals(3)
end)

scenario("a broker that is not there refuses the client", tags, function(t)
  local peer = t:peer()
  local proxy = t:proxy { upstream = peer }
  peer:stop()
  local c = t:client { url = proxy.url }
  expect(c:try_connect()):equals(-1)
  peer:start()
  expect(c:try_connect()):equals(0)
  proxy:stop { reset = true }
  expect(c:wait_lost()):equals(-1)
  expect(c:try_connect()):equals(-1)
  proxy:start()
  expect(c:try_connect()):equals(0)
end)

scenario("two proxies in a row are one long way", tags, function(t)
  local far = t:proxy()
  local near = t:proxy { upstream = far }
  local c = t:connect { url = near.url }
  near.up:on("PUBLISH"):topic("cut/#"):drop()
  local cut = far.up:on("PUBLISH"):topic("cut/#"):drop()
  c:publish("whole", "x", { qos = 1 })
  c:publish("cut/a", "x", { qos = 0 })
  c:publish("whole", "y", { qos = 1 })
  expect(cut.seen):equals(0)
end)
