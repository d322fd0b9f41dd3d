-- How connections end: reset, half-closed, closed at once or slowly, or without a word. A position says behind which
-- byte; what stands before it arrives first.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local function connected(t, options)
  local peer = t:peer()
  local c = t:client { broker = peer, clean = options and options.clean }
  c:connect()
  return c, peer
end

-- Three messages of QoS 1, one after the other; their codes once all are known.
local function publish_three(c)
  local sent = {}
  for i = 1, 3 do
    sent[i] = c:send("faults/ending", ("message %d"):format(i), { qos = 1 })
  end
  return { sent[1]:wait(), sent[2]:wait(), sent[3]:wait() }
end

-- What a peer says of a reset. A Unix socket carries none, but fails who writes to one that is closed.
local function reset_at(peer)
  return peer.url:find "^unix" and "by the other end" or "reset by the other end"
end

local incomplete, disconnected = mqtt.ERROR_OPERATION_INCOMPLETE, mqtt.ERROR_DISCONNECTED

-- Where in the second PUBLISH it resets, and what becomes of the three.
local positions = {
  { "in place of the packet", function(rule) return rule end, { mqtt.FAILURE, disconnected }, 1 },
  { "before it", function(rule) return rule:before() end, { mqtt.FAILURE, disconnected }, 1 },
  { "within it", function(rule) return rule:at_byte(7) end, { mqtt.FAILURE, disconnected }, 1 },
  { "before its last byte", function(rule) return rule:at_byte(-1) end, { mqtt.FAILURE, disconnected }, 1 },
  { "behind it", function(rule) return rule:after_packet() end, { incomplete, disconnected }, 2 },
}

for _, position in ipairs(positions) do
  local where, place, codes, arrived = table.unpack(position)
  scenario("rst: " .. where, function(t)
    local c, peer = connected(t)
    local held = peer.down:on("PUBACK"):hold()
    place(c.link.up:on("PUBLISH"):nth(2)):rst()
    local got = publish_three(c)
    expect(got):equals { incomplete, table.unpack(codes) }
    expect(c:wait_lost()):equals(-1)
    t:wait(function() return not peer:conn() end)
    expect(#peer:received("PUBLISH")):equals(arrived)
    expect(peer:log()):contains(reset_at(peer))
    held:off()
  end)
end

-- What it says of the FIN that it gets instead, which is no orderly end of a TLS connection.
local function fin_at(peer)
  if peer.url:find "^unix" then
    return "by the other end"
  end
  return peer.url:find "^w?ss" and "ended without a close_notify" or "closed by the other end"
end

-- Which end sees a reset; the other sees an end.
for _, case in ipairs { { "both", reset_at }, { "broker", reset_at }, { "client", fin_at } } do
  local who, end_at = table.unpack(case)
  scenario("rst: as the " .. who .. " sees it", function(t)
    local c, peer = connected(t)
    c.link.up:on("PUBLISH"):first():after_packet():rst { who = who }
    local sent = c:send("faults/ending", "x", { qos = 1 })
    expect(sent:wait()):equals(incomplete)
    expect(c:wait_lost()):equals(-1)
    t:wait(function() return not peer:conn() end)
    expect(peer:log()):contains(end_at(peer))
  end)
end

scenario("fin: this direction is shut, the other goes on", function(t)
  local peer = t:peer()
  local raw = t:raw_client { broker = peer }
  raw:send("CONNECT", { client_id = "raw" })
  raw:recv("CONNACK")
  peer.down:on("PINGRESP"):after_packet():fin()
  raw:send("PINGREQ")
  raw:recv("PINGRESP")
  expect(raw:wait_closed()):equals("fin")
end)

scenario("fin: of the direction that is named", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():fin("down")
  c:send("faults/ending", "x", { qos = 1 })
  expect(c:wait_lost()):equals(-1)
  t:wait(function() return #peer:received("PUBLISH") == 1 end)
end)

scenario("close: in order, behind what was sent", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):nth(2):close()
  local one, two = c:send("faults/ending", "1", { qos = 0 }), c:send("faults/ending", "2", { qos = 1 })
  expect(one:wait()):equals(mqtt.SUCCESS)
  expect(two:wait()):differs(mqtt.SUCCESS)
  expect(c:wait_lost()):equals(-1)
  t:wait(function() return not peer:conn() end)
  expect(#peer:received("PUBLISH")):equals(1)
  expect(peer:log()):contains("closed by the other end")
end)

scenario("slow_close: silence, and then the end", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():slow_close("60ms")
  local began = t:now()
  c:send("faults/ending", "x", { qos = 1 })
  expect(c:wait_lost()):equals(-1)
  expect(t:now() - began):is_at_least(0.055)
  expect(#peer:received("PUBLISH")):equals(0)
end)

scenario("slow_close: an end that is on its way takes longer", function(t)
  local c, peer = connected(t)
  c.link.down:on("close"):first():slow_close("60ms")
  local began = t:now()
  peer:conn():close()
  expect(c:wait_lost()):equals(-1)
  expect(t:now() - began):is_at_least(0.055)
end)

scenario("vanish: neither end is told", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():vanish()
  local one = c:send("faults/ending", "1", { qos = 1 })
  local two = c:send("faults/ending", "2", { qos = 0 })
  expect(two:wait()):equals(mqtt.SUCCESS)     -- the transport takes it
  t:sleep(0.1)
  expect(one.code):is_nil()
  expect(c.state):equals("connected")
  expect(peer:conn().is_open):is_true()
  expect(#peer:received("PUBLISH")):equals(0)
end)

scenario("vanish: noticed by keepalive only", { timeout = 15 }, function(t)
  local peer = t:peer()
  local c = t:connect { broker = peer, keepalive = 1 }
  c.link:vanish()
  expect(c:wait_lost { within = 8 }):equals(-1)
end)

scenario("close: a link that is stalled closes at once, and what it held back was not sent", function(t)
  local c, peer = connected(t)
  c.link:stall()
  local sent = c:send("faults/ending", "x", { qos = 1 })
  c.link:close()
  expect(c:wait_lost()):equals(-1)
  expect(sent:wait()):equals(mqtt.ERROR_DISCONNECTED)
  t:wait(function() return not peer:conn(1) or not peer:conn(1).is_open end)
  expect(#peer:received("PUBLISH")):equals(0)
end)

scenario("close: a raw client whose link was closed can send no more", function(t)
  local raw = t:raw_client { broker = t:peer() }
  raw.link.up:on("PINGREQ"):first():close()
  raw:send("CONNECT", { client_id = "raw" })
  raw:recv("CONNACK")
  raw:send("PINGREQ")
  raw:wait_closed()
  expect(function() raw:send("PINGREQ") end):raises "the connection is not open: closed by the other end"
end)

scenario("stall: outlasts a pause of the peer", function(t)
  local c, peer = connected(t)
  peer:conn():stall()
  peer:pause()
  peer:resume()
  local sent = c:send("faults/ending", "x", { qos = 1 })
  t:sleep(0.05)
  expect(sent.code):is_nil()
  peer:conn():resume()
  expect(sent:wait()):equals(mqtt.SUCCESS)
end)
