-- What happens to a stream of bytes on its way: later, slower, in other pieces, not at all, or not as it was.
-- What delays, slows, stalls or gathers holds everything behind it: a stream loses nothing and keeps its order.
local rig = require "mqrig"
local mqtt, scenario, expect, fault = rig.mqtt, rig.scenario, rig.expect, rig.fault

-- A client on a peer, and how long a publish of QoS 1 takes it.
local function connected(t)
  local peer = t:peer()
  return t:connect { broker = peer }, peer
end

local function publishing(t, client, payload)
  local began = t:now()
  client:publish("faults/stream", payload or "x", { qos = 1 })
  return t:now() - began
end

scenario("delay: each packet comes that much later, and what is behind it waits", function(t)
  local c, peer = connected(t)
  local rule = c.link.up:on("PUBLISH"):first():delay("60ms")
  local first = c:send("faults/stream", "delayed", { qos = 1 })
  local second = c:send("faults/stream", "behind it", { qos = 1 })
  local began = t:now()
  expect(first:wait()):equals(mqtt.SUCCESS)
  expect(second:wait()):equals(mqtt.SUCCESS)
  expect(t:now() - began):is_at_least(0.055)
  expect(peer:received("PUBLISH")[1].payload):equals("delayed")
  expect(rule.fired):equals(1)
end)

scenario("delay: drawn from a distribution, the same for the same seed", function(t)
  local c = connected(t)
  local few = { fault.fixed(0.02), fault.uniform(0.02, 0.03), fault.normal(0.03, 0.001), fault.pareto(0.02, 9) }
  for _, d in ipairs(few) do
    local _ <close> = c.link.up:on("PUBLISH"):delay(d)
    expect(publishing(t, c)):is_at_least(0.02)
  end
end)

scenario("delay: until the block ends", function(t)
  local c = connected(t)
  do
    local _ <close> = c.link.down:on("bytes"):delay("40ms")
    expect(publishing(t, c)):is_at_least(0.04)
  end
  c.link:on("PUBACK"):must_fire():delay(0)
  publishing(t, c)
end)

scenario("rate: so many bytes a second", function(t)
  local c = connected(t)
  local slow = c.link.up:on("bytes"):rate(10000)
  expect(publishing(t, c, ("x"):rep(1000))):is_at_least(0.1)
  slow:off()
  publishing(t, c)
end)

scenario("rate: a slow way fills up, and the sender feels it", function(t)
  local c = t:connect { broker = t:peer(), maxbuffered = 10 }
  c.link.up:on("PUBLISH"):rate(1000)
  local full
  for _ = 1, 100 do
    full = c:send("faults/stream", ("x"):rep(10000), { qos = 0 })
  end
  expect(full:wait()):equals(mqtt.ERROR_MAX_BUFFERED_MESSAGES)
end)

scenario("split: in pieces, however small", function(t)
  local c, peer = connected(t)
  c.link.both:on("bytes"):split(1)
  publishing(t, c, "cut into single bytes")
  c.link.up:on("PUBLISH"):first():split(10, "5ms")
  expect(publishing(t, c, ("x"):rep(100))):is_at_least(0.05)
  expect(#peer:received("PUBLISH")):equals(2)
end)

scenario("split: in pieces whose sizes are drawn, a gap between them", function(t)
  local c, peer = connected(t)
  c.link.up:on("bytes"):split(fault.uniform(50, 150), "2ms")
  expect(publishing(t, c, ("x"):rep(3000))):is_at_least(0.038)     -- 20 pieces at least
  expect(#peer:received("PUBLISH")[1].payload):equals(3000)
end)

scenario("coalesce: several packets in one go", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):coalesce(200, "5s")
  local sent = {}
  for i = 1, 3 do
    expect(#peer:received("PUBLISH")):equals(0)
    sent[i] = c:send("faults/stream", ("x"):rep(60), { qos = 1 })
    t:sleep(0.02)
  end
  for i = 1, 3 do
    expect(sent[i]:wait()):equals(mqtt.SUCCESS)
  end
  expect(#peer:received("PUBLISH")):equals(3)
end)

scenario("coalesce: what are not enough wait no longer than they are to", function(t)
  local c = connected(t)
  c.link.up:on("bytes"):coalesce("1k", "50ms")
  expect(publishing(t, c)):is_at_least(0.05)
end)

scenario("stall: nothing passes, and then it does", function(t)
  local c = connected(t)
  c.link.up:on("PUBLISH"):first():at_byte(3):stall("60ms")
  expect(publishing(t, c)):is_at_least(0.055)
end)

scenario("blackhole: what is sent arrives nowhere", function(t)
  local c, peer = connected(t)
  local hole = c.link.up:on("PUBLISH"):nth(2):blackhole()
  publishing(t, c)
  c:send("faults/stream", "into the hole", { qos = 1 })
  c:send("faults/stream", "behind it", { qos = 1 })
  hole:wait()
  t:sleep(0.05)
  expect(#peer:received("PUBLISH")):equals(1)
  hole:off()
  publishing(t, c, "it is closed")
end)

scenario("corrupt: one bit of a field", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():corrupt { field = "payload", byte = 0, bit = 5 }
  publishing(t, c, "Hello")
  expect(peer:received("PUBLISH")[1].payload):equals("hello")
end)

scenario("corrupt: one bit of the packet, drawn from the seed", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():corrupt { field = "payload" }
  publishing(t, c, "Hello")
  local got = peer:received("PUBLISH")[1].payload
  expect(got):differs("Hello")
  local differing = 0
  for i = 1, #got do
    local x = got:byte(i) ~ ("Hello"):byte(i)
    while x > 0 do
      differing = differing + (x & 1)
      x = x >> 1
    end
  end
  expect(differing):equals(1)
end)

scenario("corrupt: what no longer is a packet costs the connection", function(t)
  local c = connected(t)
  c.link.down:on("PUBACK"):first():corrupt { byte = 1, bit = 0 }   -- a remaining length of 3
  local sent = c:send("faults/stream", "x", { qos = 1 })
  c:send("faults/stream", "y", { qos = 1 })
  expect(c:wait_lost()):equals(-4)
  expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
end)

scenario("truncate: what follows the packet takes the place of what was cut off", function(t)
  local c, peer = connected(t)
  c.link.up:on("PUBLISH"):first():truncate(-1)
  c:send("faults/stream", "hello", { qos = 0 })
  c:send("faults/stream", "its first byte is a 0", { qos = 0 })
  t:wait(function() return #peer:received("PUBLISH") > 0 end)
  expect(peer:received("PUBLISH")[1].payload):equals("hell0")
end)
