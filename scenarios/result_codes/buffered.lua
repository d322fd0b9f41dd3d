-- -12: `maxbuffered` messages are accepted and not yet handed to the transport, and the transport takes no more now.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

for qos = 0, 2 do
  scenario(("QoS %d: a burst on a healthy link never sees it, however small maxbuffered is"):format(qos),
    { tags = "result-codes" }, function(t)
      local c = t:connect { maxbuffered = 1 }
      local tokens = {}
      -- A Unix socket has room for some 270 small writes, whatever they hold; then it is a full socket.
      for i = 1, c.url:find "^unix" and 200 or 2000 do
        tokens[i] = c:send("codes/burst", "x", { qos = qos })
      end
      for _, token in ipairs(tokens) do
        expect(token:wait()):equals(mqtt.SUCCESS)
      end
    end)

  scenario(("QoS %d: the link stands still: %s"):format(qos, "maxbuffered are taken, the next gets -12"),
    { tags = "result-codes" }, function(t)
      local c = t:connect { maxbuffered = 5 }
      c.link:stall()
      local tokens = {}
      for i = 1, 5 do
        tokens[i] = c:send("codes/stall", tostring(i), { qos = qos })
      end
      expect(c:try_publish("codes/stall", "6", { qos = qos })):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
      expect(c.buffered):equals(5)

      c.link:resume()
      for i = 1, 5 do
        expect(tokens[i]:wait()):equals(mqtt.SUCCESS)
      end
      expect(c:try_publish("codes/stall", "7", { qos = qos })):equals(mqtt.SUCCESS)
    end)

  scenario(("QoS %d: the socket is full because the broker does not read: -12"):format(qos), { tags = "result-codes" },
    function(t)
      local peer = t:peer()
      local c = t:connect { broker = peer, maxbuffered = 2, maxmessage = 8 << 20 }
      local stalled = peer.up:on("bytes"):stall()
      local big = c:send("codes/full", ("x"):rep(8 << 20))
      t:wait(function() return c.inflight == 1 end)
      local first = c:send("codes/full", "x", { qos = qos })
      local second = c:send("codes/full", "x", { qos = qos })
      expect(c:try_publish("codes/full", "x", { qos = qos })):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
      stalled:off()
      expect(big:wait()):equals(mqtt.SUCCESS)
      expect(first:wait()):equals(mqtt.SUCCESS)
      expect(second:wait()):equals(mqtt.SUCCESS)
    end)
end

scenario("the window is full: maxbuffered wait for it, the next gets -12", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):hold()
  local c = t:connect { broker = peer, maxinflight = 2, maxbuffered = 3 }
  local tokens = {}
  for i = 1, 5 do
    tokens[i] = c:send("codes/window", tostring(i), { qos = 1 })
  end
  t:wait(function() return held.seen == 2 end)
  expect(c.inflight):equals(2)
  expect(c.buffered):equals(3)
  for qos = 0, 2 do
    expect(c:try_publish("codes/window", "x", { qos = qos })):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  end

  -- One acknowledgement, one more in the window, one more place behind it.
  held:release(1)
  expect(tokens[1]:wait()):equals(mqtt.SUCCESS)
  t:wait(function() return held.seen == 3 end)
  tokens[6] = c:send("codes/window", "6", { qos = 1 })
  expect(c:try_publish("codes/window", "x", { qos = 1 })):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)

  -- Those that were taken arrive in order; what was refused never does.
  held:release()
  for i = 2, 6 do
    expect(tokens[i]:wait()):equals(mqtt.SUCCESS)
  end
  local payloads = {}
  for i, packet in ipairs(peer:received("PUBLISH")) do
    payloads[i] = packet.payload
  end
  expect(payloads):equals { "1", "2", "3", "4", "5", "6" }
end)

scenario("QoS 0 behind a full window waits in line, and counts as well", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):hold()
  local c = t:connect { broker = peer, maxinflight = 1, maxbuffered = 2 }
  c:send("codes/line", "in flight", { qos = 1 })
  local waiting = c:send("codes/line", "waits for the window", { qos = 1 })
  local behind = c:send("codes/line", "waits in line", { qos = 0 })
  t:wait(function() return held.seen == 1 end)
  expect(c:try_publish("codes/line", "x")):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  expect(behind.code):is_nil()
  held:release()
  expect(behind:wait()):equals(mqtt.SUCCESS)
  expect(waiting:wait()):equals(mqtt.SUCCESS)
end)

scenario("QoS 0 in front of a full window does not wait for it", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):hold()
  local c = t:connect { broker = peer, maxinflight = 1, maxbuffered = 1 }
  c:send("codes/line", "in flight", { qos = 1 })
  t:wait(function() return held.seen == 1 end)
  for _ = 1, 100 do
    expect(c:try_publish("codes/line", "passes")):equals(mqtt.SUCCESS)
  end
end)

scenario("the code comes by the callback, after sendasync has returned", { tags = "result-codes" }, function(t)
  local c = t:connect { maxbuffered = 1 }
  c.link:stall()
  c:send("codes/refused", "x")
  local returned, inside = false, nil
  local code = t:await(function(done)
    c.mqtt:createmessage("codes/refused", "x"):sendasync(function(code)
      inside = returned
      done(code)
    end)
    returned = true
  end)
  expect(code):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  expect(inside):is_true()
end)

scenario("a refused message takes no identifier", { tags = "result-codes" }, function(t)
  local c = t:connect { maxbuffered = 1 }
  c.link:stall()
  local first = c:send("codes/refused", "x", { qos = 1 })
  for _ = 1, 10 do
    local token = c:send("codes/refused", "x", { qos = 1 })
    expect(token.packet_id):is_nil()
    expect(token:wait()):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  end
  c.link:resume()
  expect(first:wait()):equals(mqtt.SUCCESS)
  expect(c:send("codes/refused", "x", { qos = 1 }).packet_id):equals(2)
end)

scenario("both would refuse: -10 comes before -12, and QoS 0 skips -10", { tags = { "result-codes", "full-scale" } },
  function(t)
    local peer = t:peer()
    peer.down:on("PUBACK"):drop()
    local c = t:connect { broker = peer, maxinflight = 1, maxbuffered = 65534 }
    for _ = 1, 65535 do
      c:send("codes/both", "x", { qos = 1 })
    end
    expect(c.buffered):equals(65534)
    expect(c:try_publish("codes/both", "x", { qos = 1 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
    expect(c:try_publish("codes/both", "x", { qos = 2 })):equals(mqtt.ERROR_NO_MORE_MSGIDS)
    expect(c:try_publish("codes/both", "x", { qos = 0 })):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  end)

scenario("not connected comes before both", { tags = "result-codes" }, function(t)
  local c = t:connect { maxbuffered = 1 }
  c.link:stall()
  local message = c.mqtt:createmessage("codes/first", "x", { qos = 1 })
  message:sendasync()
  c:close()
  expect(function() message:sendasync() end):raises("not connected")
end)
