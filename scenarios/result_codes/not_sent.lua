-- -3: disconnected, lost or closed before the first byte of the message was handed to the transport. It did certainly
-- not reach the broker.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("sendasync raises when the client was never connected", { tags = "result-codes" }, function(t)
  local client <close> = mqtt.createclient()
  local called = false
  for qos = 0, 2 do
    local message = client:createmessage("codes/never", "x", { qos = qos })
    expect(function() message:sendasync(function() called = true end) end):raises("not connected")
  end
  t:connect():publish("codes/never", "a turn of the loop, and more", { qos = 1 })
  expect(called):is_false()
end)

scenario("sendasync raises while the CONNACK is still to come", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("CONNACK"):hold()
  local client <close> = mqtt.createclient()
  local message = client:createmessage("codes/early", "x")
  local code = t:await(function(done)
    client:onconnect(done)
    client:connect(peer.url, "early")
    expect(function() message:sendasync() end):raises("not connected")
    t:wait(function() return held.seen == 1 end)
    expect(function() message:sendasync() end):raises("not connected")
    held:release()
  end)
  expect(code):equals(0)
  message:sendasync()
end)

local endings = {
  { "a disconnect", function(c) c:disconnect() end },
  { "a close", function(c) c:close() end },
  { "a loss", function(c)
    c.link:rst()
    c:wait_lost()
  end },
}
for _, ending in ipairs(endings) do
  scenario(("sendasync raises after %s"):format(ending[1]), { tags = "result-codes" }, function(t)
    local c = t:connect()
    local message = c.mqtt:createmessage("codes/after", "x", { qos = 1 })
    ending[2](c)
    expect(function() message:sendasync() end):raises("not connected")
    expect(c:send("codes/after", "x").code):equals(mqtt.ERROR_DISCONNECTED)
    expect(c:try_publish("codes/after", "x", { qos = 2 })):equals(mqtt.ERROR_DISCONNECTED)
  end)
end

scenario("sendasync raises from the call of disconnect on", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local message = c.mqtt:createmessage("codes/during", "x")
  t:await(function(done)
    c.mqtt:disconnect(done)
    expect(c.mqtt:isconnected()):is_false()
    expect(function() message:sendasync() end):raises("not connected")
  end)
end)

for qos = 0, 2 do
  scenario(("QoS %d: sent and closed in one breath: -3"):format(qos), { tags = "result-codes" }, function(t)
    local c = t:connect()
    local token = c:send("codes/breath", "x", { qos = qos })
    expect(token.code):is_nil()
    c:close()
    expect(token.code):equals(mqtt.ERROR_DISCONNECTED)
  end)

  scenario(("QoS %d: the link stands still when it is sent, then breaks: -3"):format(qos), { tags = "result-codes" },
    function(t)
      local c = t:connect()
      c.link:stall()
      local token = c:send("codes/stalled", "x", { qos = qos })
      local other = t:connect()
      other:publish("codes/stalled", "another client is not affected", { qos = 1 })
      expect(token.code):is_nil()
      expect(c.buffered):equals(1)
      expect(c.inflight):equals(0)
      c.link:rst()
      expect(token:wait()):equals(mqtt.ERROR_DISCONNECTED)
      expect(c:wait_lost()):equals(-1)
    end)

  scenario(("QoS %d: the link stands still from this message on: -3 for those behind it"):format(qos),
    { tags = "result-codes" }, function(t)
      local c = t:connect()
      local stall = c.link.up:on("PUBLISH"):topic("codes/wall"):stall()
      local first = c:send("codes/wall", "x", { qos = 1 })
      local second = c:send("codes/behind", "x", { qos = qos })
      stall:wait()
      c.link:rst()
      expect(first:wait()):equals(mqtt.ERROR_DISCONNECTED)
      expect(second:wait()):equals(mqtt.ERROR_DISCONNECTED)
    end)
end

scenario("all that waits gets -3, however much it is", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()
  local c = t:connect { broker = peer, maxinflight = 10 }
  local tokens = {}
  for i = 1, 1000 do
    tokens[i] = c:send("codes/many", "x", { qos = 1 })
  end
  t:wait(function() return c.inflight == 10 end)
  expect(c.buffered):equals(990)
  c.link:rst()
  expect(c:wait_lost()):equals(-1)
  for i, token in ipairs(tokens) do
    expect(token.code):equals(i <= 10 and mqtt.ERROR_OPERATION_INCOMPLETE or mqtt.ERROR_DISCONNECTED)
  end
end)
