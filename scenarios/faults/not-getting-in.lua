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
