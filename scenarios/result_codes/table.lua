-- The result code says how far a message had got when its connection ended. Cell by cell: state x end x QoS.
--
--                                 the socket fails    the broker closes, a bad packet,    disconnect
--                                                     too much or too large, keepalive    or close
--   not one byte handed over           -3                         -3                         -3
--   some of its bytes                  -1                        -11                        -11
--   all of them, no PUBACK or PUBREC  -11                        -11                        -11
--   PUBREC has come, no PUBCOMP       -11                        -11                        -11
--
-- Keepalive has a file of its own, and so has disconnect while the transport takes nothing (incomplete.lua).
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

local BIG <const> = ("x"):rep(8 << 20) -- more than the kernel takes for a broker that does not read

-- How far the message gets. Each puts one on its way and returns its token.

local function behind_the_window(_, c, qos)
  c:send("window", "is full from here on", { qos = 1 })
  c:wait_sent("PUBLISH")
  c:send("waits", "for the window", { qos = 1 })
  return c:send("target", "waits behind it", { qos = qos })
end

local function stop_reading(t, peer, c, qos)
  peer.up:on("bytes"):stall()
  local token = c:send("target", BIG, { qos = qos })
  t:wait(function() return c.inflight == 1 end)
  return token
end

local function behind_a_full_socket(t, c, qos, peer)
  stop_reading(t, peer, c, 0)
  return c:send("target", "waits behind the big one", { qos = qos })
end

local function partly_written(t, c, qos, peer)
  return stop_reading(t, peer, c, qos)
end

local function written(_, c, qos)
  local token = c:send("target", "x", { qos = qos })
  c:wait_sent("PUBLISH")
  return token
end

local function released(_, c)
  local token = c:send("target", "x", { qos = 2 })
  c:wait_sent("PUBREL")
  return token
end

local states = {
  { "it waits behind a full window", behind_the_window, qos = { 0, 1, 2 }, failed = -3, ended = -3 },
  { "it waits behind a full socket", behind_a_full_socket, qos = { 0, 1, 2 }, failed = -3, ended = -3, full = true },
  { "it is partly written", partly_written, qos = { 0, 1, 2 }, failed = -1, ended = -11, full = true },
  { "it is written", written, qos = { 1, 2 }, failed = -11, ended = -11 },
  { "its PUBREC has come", released, qos = { 2 }, failed = -11, ended = -11 },
}

-- How the connection ends. `failed`: the socket does; `lost`: what onconnectionlost is told.
local ends = {
  { "the broker resets", failed = true, lost = -1, act = function(peer) peer:conn():rst() end },
  { "the link is reset", failed = true, lost = -1, act = function(_, c) c.link:rst() end },
  { "the broker is killed", failed = true, lost = -1, act = function(peer) peer:kill() end },
  { "the broker closes", lost = -1, act = function(peer) peer:conn():fin() end },
  { "a packet is malformed", lost = -4, act = function(peer) peer:send_raw("\0\0") end },
  { "a packet is out of place", lost = -4, act = function(peer) peer:send("CONNACK") end },
  { "a message is too large", lost = -3, act = function(peer) peer:send_raw("\x30\xff\xff\xff\x7f\0\1t") end },
  { "messages come too fast", lost = -2, act = function(peer)
    peer:send("PUBLISH", { topic = "one", payload = "" })
    peer:send("PUBLISH", { topic = "more", payload = "" })
  end },
  { "the client disconnects", waits = true, act = function(_, c) c:disconnect() end },
  { "the client is closed", act = function(_, c) c:close() end },
}

for _, state in ipairs(states) do
  for _, ending in ipairs(ends) do
    for _, qos in ipairs(not (state.full and ending.waits) and state.qos or {}) do
      local code = ending.failed and state.failed or state.ended
      scenario(("QoS %d: %s and %s: %d"):format(qos, state[1], ending[1], code), { tags = "result-codes" }, function(t)
        local peer = t:peer()
        peer.down:on("PUBACK", "PUBCOMP"):drop()
        if state[2] == written then peer.down:on("PUBREC"):drop() end
        local c = t:connect { broker = peer, maxmessage = #BIG, maxinflight = 1, inrate = { 1, 1 } }

        local token = state[2](t, c, qos, peer)
        expect(token.code):is_nil()
        ending.act(peer, c)

        expect(token:wait()):equals(code)
        if ending.lost then
          expect(c:wait_lost()):equals(ending.lost)
        end
        expect(c.mqtt:isconnected()):is_false()
      end)
    end
  end
end
