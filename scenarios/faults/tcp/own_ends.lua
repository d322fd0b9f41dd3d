-- The same as in the files beside this one, with both ends mqrig's own: on a real network and in a simulated one.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local tags = { tags = { "faults", "tcp" }, transport = "tcp" }

local function connected(t)
  local peer = t:peer()
  local raw = t:raw_client { broker = peer }
  return raw, t:wait(function() return peer:conn() end), peer
end

-- Four packets, 8 bytes, and what is known of them at the other end.
local function send_pings(raw)
  for _ = 1, 4 do
    raw:send("PINGREQ")
  end
end

scenario("own ends: 7 bytes and a reset at once are 7 bytes, then a reset", tags, function(t)
  local raw, conn = connected(t)
  conn:send_raw("1234567")
  conn:rst()
  expect(raw:recv_bytes(7)):equals "1234567"
  expect(raw:wait_closed()):equals "reset"
end)

scenario("own ends: 7 bytes and a reset at once, read late", tags, function(t)
  local raw, conn = connected(t)
  raw.link:stall()
  conn:send_raw("1234567")
  conn:rst()
  t:sleep(0.05)
  expect(raw.is_open):is_true()
  raw.link:resume()
  expect(raw:recv_bytes(7)):equals "1234567"
  expect(raw:wait_closed()):equals "reset"
end)

scenario("own ends: megabytes and a reset by a rule arrive whole before it", tags, function(t)
  local raw, conn = connected(t)
  conn.down:on("bytes"):at_byte(3000000):rst()
  conn:send_raw(("x"):rep(3000000))
  conn:send_raw("y")
  expect(#raw:recv_bytes(3000000)):equals(3000000)
  expect(raw:wait_closed()):equals "reset"
end)

scenario("own ends: a half-close is an end of file, and the other direction lives", tags, function(t)
  local raw, conn = connected(t)
  conn:send_raw("1234567")
  conn:fin()
  expect(raw:recv_bytes(7)):equals "1234567"
  expect(raw:wait_closed()):equals "fin"
  raw:send("CONNECT")
  send_pings(raw)
  t:wait(function() return #conn:received("PINGREQ") == 4 end)
end)

scenario("own ends: closed, and the other writes: it is told by a reset", tags, function(t)
  local raw, conn = connected(t)
  conn:close()
  expect(raw:wait_closed()):equals "fin"
  raw:send("1")
  t:wait(function() return not raw.is_open end)
end)

scenario("own ends: paused, sends and connects succeed and nothing comes back", tags, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer }
  peer:pause()
  local sent = c:send("tcp", "x", { qos = 1 })
  local second = t:raw_client { broker = peer }
  second:send("CONNECT", { client_id = "second" })
  t:sleep(0.2)
  expect(sent.code):is_nil()
  expect(c.state):equals "connected"
  expect(second.is_open):is_true()
  peer:resume()
  expect(sent:wait()):equals(mqtt.SUCCESS)
  second:recv("CONNACK")
end)

scenario("own ends: killed with nothing unread is an end of file", tags, function(t)
  local raw, _, peer = connected(t)
  peer:kill()
  expect(raw:wait_closed()):equals "fin"
end)

scenario("own ends: killed with unread bytes is what was written, then a reset", tags, function(t)
  local raw, conn, peer = connected(t)
  conn:send_raw("1234567")
  peer:pause()
  send_pings(raw)
  t:sleep(0.05)                          -- for the way there; nobody reads them
  peer:kill()
  expect(raw:recv_bytes(7)):equals "1234567"
  expect(raw:wait_closed()):equals "reset"
end)

scenario("own ends: who never reads takes much, and then no more", tags, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer, maxbuffered = 4 }
  peer:pause()
  local sent, taken = {}, 0
  for i = 1, 200 do
    sent[i] = c:send("tcp", ("x"):rep(100000), { qos = 0 })
  end
  expect(sent[200]:wait()):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
  for _, token in ipairs(sent) do
    taken = taken + (token.code == mqtt.SUCCESS and 1 or 0)
  end
  expect(taken):is_between(1, 195)
end)

for _, backlog in ipairs { 0, 1, 5 } do
  scenario(("own ends: never accepts, backlog %d: %d connect"):format(backlog, backlog + 1), tags, function(t)
    local peer = t:peer { backlog = backlog }
    peer:pause()
    for _ = 0, backlog do
      t:raw_client { broker = peer }
    end
    local began = t:now()
    expect(t:client { broker = peer, timeout = 0.2 }:try_connect()):equals(mqtt.FAILURE)
    expect(t:now() - began):is_at_least(0.2)
  end)
end

scenario("own ends: vanished, neither end hears of it", tags, function(t)
  local raw, conn = connected(t)
  conn:vanish()
  send_pings(raw)
  t:sleep(0.2)
  expect(raw.is_open):is_true()
  expect(#conn:received("PINGREQ")):equals(0)
end)
