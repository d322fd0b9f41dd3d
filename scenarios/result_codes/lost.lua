-- onconnectionlost: -1 the socket failed or the broker closed; -2 inbound rate exceeded; -3 inbound message larger than
-- the limit; -4 malformed or out-of-place packet. Exactly once for each connection that was accepted and not ended by
-- disconnect or close.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

-- A client that counts how often it is told, and another connection of the same client as a sentinel.
local function counting_client(t, options)
  local peer = t:peer()
  options = options or {}
  options.broker = peer
  local c = t:connect(options)
  local reasons = {}
  c.mqtt:onconnectionlost(function(reason) reasons[#reasons + 1] = reason end)
  return c, peer, reasons
end

local function settle(t, peer)
  t:connect { broker = peer }:publish("codes/sentinel", "x", { qos = 2 })
end

local ways = {
  { "the broker resets", -1, function(_, peer) peer:conn():rst() end },
  { "the broker closes", -1, function(_, peer) peer:conn():close() end },
  { "the broker half-closes", -1, function(_, peer) peer:conn():fin() end },
  { "the broker stops", -1, function(_, peer) peer:restart() end },
  { "the link is reset", -1, function(c) c.link:rst() end },
  { "the link is closed", -1, function(c) c.link:close() end },
  { "too many messages come", -2, function(_, peer)
    for _ = 1, 4 do
      peer:send("PUBLISH", { topic = "t", payload = "" })
    end
  end },
  { "a message is too large", -3, function(_, peer)
    peer:send("PUBLISH", { topic = "t", payload = ("x"):rep(101) })
  end },
  { "a packet is malformed", -4, function(_, peer) peer:send_raw("\x40\x02\0\0") end },
  { "a packet is out of place", -4, function(_, peer) peer:send("CONNACK") end },
}
for _, way in ipairs(ways) do
  scenario(("%s: %d, once for each connection"):format(way[1], way[2]), { tags = "result-codes" }, function(t)
    local c, peer, reasons = counting_client(t, { maxmessage = 100, inrate = { 1, 3 } })
    for n = 1, 2 do
      if n == 2 then c:connect() end
      if way[2] == -2 and n == 2 then break end
      way[3](c, peer)
      expect(c:wait_lost()):equals(way[2])
      expect(c.state):equals("disconnected")
      expect(#reasons):equals(n)
    end
    c:close()
    settle(t, peer)
    for _, reason in ipairs(reasons) do
      expect(reason):equals(way[2])
    end
    expect(#reasons):equals(way[2] == -2 and 1 or 2)
  end)
end

local quiet = {
  { "disconnect", function(c) c:disconnect() end },
  { "close", function(c) c:close() end },
  { "disconnect, and the broker resets meanwhile", function(c, peer)
    c.mqtt:disconnect()
    peer:conn():rst()
  end },
  { "disconnect, and close before it is done", function(c)
    c.mqtt:disconnect()
    c:close()
  end },
}
for _, way in ipairs(quiet) do
  scenario(("not told for %s"):format(way[1]), { tags = "result-codes" }, function(t)
    local c, peer, reasons = counting_client(t)
    way[2](c, peer)
    settle(t, peer)
    t:wait(function() return c.state == "disconnected" end)
    expect(reasons):equals {}
  end)
end

scenario("the callback of disconnect comes once, also if the link breaks meanwhile", { tags = "result-codes" },
  function(t)
    local c, peer, reasons = counting_client(t)
    c.link:stall()
    local calls = 0
    t:await(function(done)
      c.mqtt:disconnect(function()
        calls = calls + 1
        done()
      end)
      peer:conn():rst()
      c.link:resume()
    end)
    settle(t, peer)
    expect(calls):equals(1)
    expect(reasons):equals {}
  end)

scenario("not told for a connection that was never accepted", { tags = "result-codes" }, function(t)
  local c, peer, reasons = counting_client(t)
  c:disconnect()
  peer:on("CONNECT", function(conn) conn:rst() end)
  expect(c:try_connect()):equals(-1)
  peer:on("CONNECT", function(conn) conn:send("CONNACK", { reason_code = 3 }) end)
  expect(c:try_connect()):equals(3)
  peer:on("CONNECT", nil)
  settle(t, peer)
  expect(reasons):equals {}
end)

scenario("a handler can be taken away", { tags = "result-codes" }, function(t)
  local c, peer, reasons = counting_client(t)
  c.mqtt:onconnectionlost(nil)
  peer:conn():rst()
  expect(c:wait_lost()):equals(-1)
  expect(reasons):equals {}
end)

scenario("only the client whose link breaks is told", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local other = t:connect()
  c.link:rst()
  expect(c:wait_lost()):equals(-1)
  other:publish("codes/lost", "x", { qos = 2 })
  expect(other.state):equals("connected")
end)

scenario("the broker under test is killed: -1, and -1 for connecting meanwhile", { tags = "result-codes" }, function(t)
  local c = t:connect()
  t.broker:kill()
  expect(c:wait_lost()):equals(-1)
  expect(c:try_connect()):equals(-1)
  t.broker:start()
  expect(c:try_connect()):equals(0)
end)

scenario("close inside onconnectionlost is fine", { tags = "result-codes" }, function(t)
  local c, peer = counting_client(t)
  local calls = 0
  c.mqtt:onconnectionlost(function()
    calls = calls + 1
    c:close()
  end)
  peer:conn():rst()
  expect(c:wait_lost()):equals(-1)
  settle(t, peer)
  expect(calls):equals(1)
end)
