-- Rules on "connect" and "accept": the way to a broker is barred, or takes longer.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("a refused connect is a socket error, and the next one succeeds", function(t)
  local client = t:client()
  client.link:on("connect"):across():first():refuse()
  expect(client:try_connect()):equals(mqtt.FAILURE)
  expect(client:try_connect()):equals(mqtt.SUCCESS)
end)

scenario("a peer that refuses the first connection resets it", function(t)
  local peer = t:peer()
  peer.up:on("accept"):across():first():refuse()
  local client = t:client { broker = peer }
  expect(client:try_connect()):equals(mqtt.FAILURE)
  expect(client:try_connect()):equals(mqtt.SUCCESS)
end)

scenario("a connect that is delayed beyond its timeout fails", function(t)
  local client = t:client { timeout = 0.05 }
  client.link:on("connect"):delay("5s"):may_fire()
  expect(client:try_connect()):equals(mqtt.FAILURE)
end)

scenario("a delayed connect takes that much longer", function(t)
  local client = t:client()
  client.link:on("connect"):first():delay("50ms")
  local began = t:now()
  client:connect()
  expect(t:now() - began):is_at_least(0.05)
end)

scenario("a connect that nobody answers ends with its timeout", function(t)
  local client = t:client { timeout = 0.5 }
  client.link:on("connect"):first():no_answer()
  local began = t:now()
  expect(client:try_connect()):equals(mqtt.FAILURE)
  expect(t:now() - began):is_at_least(0.5)
  expect(client:try_connect()):equals(mqtt.SUCCESS)
end)

scenario("a peer that answers nobody, for as long as the rule is there", function(t)
  local peer = t:peer()
  do
    local allowed, rule = pcall(function() return peer.up:on("accept"):no_answer() end)
    if not allowed then
      t:skip(tostring(rule))
    end
    local _ <close> = rule
    expect(t:client({ broker = peer, timeout = 0.1 }):try_connect()):equals(mqtt.FAILURE)
  end
  expect(t:client({ broker = peer }):try_connect()):equals(mqtt.SUCCESS)
end)

scenario("a proxy whose upstream is dead takes connections, and nothing comes back", function(t)
  local proxy = t:proxy()
  proxy.up:on("connect"):first():across():dead_upstream()
  expect(t:client({ url = proxy.url, timeout = 0.1 }):try_connect()):equals(mqtt.FAILURE)
  expect(proxy.stats.connections):equals(1)
  expect(t:client({ url = proxy.url }):try_connect()):equals(mqtt.SUCCESS)
end)
