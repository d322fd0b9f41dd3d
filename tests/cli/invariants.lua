-- What the invariants are to notice: nothing here looks at what becomes of a message.
local rig = require "mqrig"
local scenario = rig.scenario

local function go(fn, ...)
  pcall(fn, ...)
end

-- A subscriber that is answered has got what came for it before.
local function ask(c)
  go(c.subscribe, c, "z/z", 0)
end

scenario("resume", function(t)
  local s = t:connect { clean = false }
  s:subscribe("a/#", 2)
  local c = t:connect { clean = false }
  local held = { c.link.down:on("PUBACK"):drop(), c.link.down:on("PUBCOMP"):drop() }
  for i = 1, 6 do
    c:send("a/b", "m" .. i, { qos = 1 + i % 2 })
  end
  t:sleep(0.1)
  held[1]:off()
  held[2]:off()
  c.link:rst()
  go(c.wait_lost, c)
  go(c.connect, c)
  c:send("a/b", "m7", { qos = 1 })
  t:sleep(0.5)
  s.link:rst()
  go(s.wait_lost, s)
  for i = 8, 20 do
    c:send("a/b", "m" .. i, { qos = i % 3 })
  end
  t:sleep(0.5)
  go(s.connect, s)
  t:sleep(0.5)
  c:send("a/b", "last", { qos = 1 })
  t:sleep(0.1)
  ask(s)
  go(c.disconnect, c)
  t:sleep(0.2)
end)

scenario("a lost PUBREC", function(t)
  local c = t:connect { clean = false }
  local s = t:connect { clean = false }
  s:subscribe("a/b", 2)
  c.link.down:on("PUBREC"):first():drop()
  s.link.up:on("PUBREC"):first():drop()
  c:send("a/b", "1", { qos = 2 })
  t:sleep(0.2)
  for _, client in ipairs { c, s } do
    client.link:rst()
    go(client.wait_lost, client)
    go(client.connect, client)
  end
  t:sleep(0.5)
  c:send("a/b", "2", { qos = 2 })
  t:sleep(0.5)
end)

scenario("lost", function(t)
  local c = t:connect()
  c.link.down:on("PUBACK"):drop()
  c:send("a/b", "1", { qos = 1 })
  t:sleep(0.1)
  c:send("a/b", "2", { qos = 1 })
  c.link:rst()
  go(c.wait_lost, c)
  local d = t:connect()
  d.link:stall()
  d:send("a/b", "4", { qos = 1 })
  d:close()
end)

scenario("keepalive", { timeout = 60 }, function(t)
  local c = t:connect { keepalive = 2 }
  local s = t:connect()
  c:subscribe("a/b", 0)
  for i = 1, 5 do
    s:send("a/b", "x" .. i)
    t:sleep(1)
  end
  t:sleep(3)
  c.link.down:on("PINGRESP"):drop()
  t:sleep(8)
end)

scenario("silence", { timeout = 60 }, function(t)
  local c = t:connect { keepalive = 2, will = { topic = "a/b", payload = "gone", qos = 1 } }
  local s = t:connect()
  s:subscribe("a/b", 1)
  c.link:vanish()
  t:sleep(10)
  ask(s)
end)

scenario("wills", function(t)
  local s = t:connect()
  s:subscribe("a/#", 1)
  local c = t:connect { will = { topic = "a/w", payload = "gone 1", qos = 1 } }
  c:disconnect()
  t:sleep(0.5)
  local d = t:connect { will = { topic = "a/w", payload = "gone 2", qos = 1 } }
  d.link:rst()
  t:sleep(0.5)
  ask(s)
end)

scenario("takeover", function(t)
  t:connect { id = "same", clean = false }
  t:connect { id = "same", clean = false }
  t:sleep(0.5)
end)

scenario("retained", function(t)
  local c = t:connect()
  c:publish("a/b", "old", { qos = 1, retain = true })
  c:publish("a/b", "new", { qos = 1, retain = true })
  t:connect():subscribe("a/+", 1)
  t:sleep(0.2)
  c:publish("a/b", "", { qos = 1, retain = true })
  t:connect():subscribe("a/#", 1)
  t:sleep(0.5)
end)

scenario("limits", function(t)
  local broker = t:builtin { queued_max = 3 }
  local s = t:connect { broker = broker, clean = false }
  s:subscribe("a/b", 1)
  s.link:rst()
  go(s.wait_lost, s)
  local c = t:connect { broker = broker, maxbuffered = 5 }
  for i = 1, 6 do
    c:send("a/b", "m" .. i, { qos = 1 })
    t:sleep(0.01)
  end
  go(s.connect, s)
  t:sleep(0.5)
  c.link:stall()
  for _ = 1, 10 do
    c:send("a/b", ("x"):rep(200000), { qos = 1 })
  end
  t:sleep(0.5)
end)

scenario("identifiers", { timeout = 30 }, function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()
  local c = t:connect { broker = peer }
  for _ = 1, 65536 do
    c:send("a/b", "", { qos = 1 })
  end
  t:sleep(1)
end)

scenario("timeout", function(t)
  local c = t:client { timeout = 2 }
  c.link:on("connect"):no_answer()
  go(c.try_connect, c)
  t:sleep(5)
end)

scenario("neighbour", function(t)
  t:connect()
  t:raw_client():send "\xf0\x00"
  t:sleep(1)
end)
