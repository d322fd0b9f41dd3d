-- Plays over real sockets: what passes, and what a failure says. Run by play_test.lua.
local rig = require "mqrig"
local scenario, expect, fault = rig.scenario, rig.expect, rig.fault

local elided = { "<", "PUBLISH", topic = ..., qos = 1 } -- a file has no arguments: `...` is no value, which is any

scenario("ok", function(t)
  local p = t:peer()
  local play = p:play {
    { "<", "CONNECT", clean = true, client_id = fault.any },
    { ">", "CONNACK" },
    elided,
    { "+0.01", ">", "PUBACK" },
    { any_order = { { "<", "SUBSCRIBE" }, { "<", "PUBLISH", qos = 0 } }, within = 3 },
    { ">", fault.raw "90 r3 m2 00", split = 1 },
    { "never", "PUBLISH", for_ = 0.1 },
    { "<", "DISCONNECT" },
    { "<", "fin" },
  }
  local c = t:connect { broker = p }
  expect(c:publish("a", "b", { qos = 1 })):equals(0)
  c:send("x", "y")
  c:subscribe("a")
  t:sleep(0.1)
  c:disconnect()
  play:wait()
  expect(play.done):is_true()
end)

scenario("reconnect", function(t)
  local p = t:peer()
  p:play {
    { "<", "CONNECT" }, { ">", "CONNACK" },
    { "<", "PUBLISH", dup = false }, { ">", "rst" },
    { "<", "CONNECT" }, { ">", "CONNACK", session_present = true },
    { "<", "PUBLISH", dup = true, packet_id = 1 }, { ">", "PUBACK" },
  }
  local c = t:connect { broker = p, clean = false }
  local s = c:send("a", "b", { qos = 1 })
  c:wait_lost()
  c:connect()
  expect(s:wait()):equals(0)
end)

scenario("default", function(t)
  local p = t:peer()
  local play = p:play { default = true,
    { "<", "CONNECT" },
    { "<", "PUBLISH", topic = "b" }, { ">", "PUBLISH", topic = "z", payload = "!" },
  }
  local c = t:connect { broker = p }
  expect(c:publish("a", "b", { qos = 1 })):equals(0)
  expect(c:publish("b", "b", { qos = 2 })):equals(0)
  play:wait()
  expect(c:next_message().topic):equals("z")
end)

scenario("fails: a mismatch", function(t)
  local p = t:peer()
  p:play {
    { "<", "CONNECT" }, { ">", "CONNACK" },
    { "<", "PUBLISH", dup = false, packet_id = 7, payload = "hello" },
  }
  t:connect({ broker = p }):send("a", "b", { qos = 1 })
end)

scenario("fails: a packet never came, and the scenario's function has returned", function(t)
  local p = t:peer()
  p:play { within = "200ms", { "<", "CONNECT" }, { ">", "CONNACK" }, { "<", "PUBREL", packet_id = 7 } }
  t:connect { broker = p }
end)

scenario("fails: bytes that are no packet", function(t)
  local p = t:peer()
  p:play { { "<", "CONNECT" }, { ">", "CONNACK" }, { "<", "PUBLISH" } }
  local raw = t:raw_client { broker = p }
  raw:send("CONNECT", { client_id = "raw" })
  raw:recv("CONNACK")
  raw:send(fault.raw "f0 r0")
  t:sleep(1)
end)

scenario("a connection that is up, its keepalive over, is the play's alone", function(t)
  local p = t:peer()
  local raw = t:raw_client { broker = p }
  raw:send("CONNECT", { client_id = "raw", keepalive = 1 })
  raw:recv("CONNACK")
  local play = p:play { { "<", "PINGREQ" }, { "never", "any", for_ = 1.8 }, { ">", "PINGRESP" }, { "<", "fin" } }
  raw:send("PINGREQ")
  raw:recv("PINGRESP")
  raw:close()
  play:wait()
end)

scenario("pieces arrive as one packet, and an end in the middle is an end", function(t)
  local p = t:peer()
  p:play {
    { "<", "CONNECT" }, { ">", "CONNACK", split = 1, gap = "5ms" },
    { "<", "SUBSCRIBE" }, { ">", "SUBACK" },
    { ">", "PUBLISH", topic = "a", payload = ("x"):rep(100), split = 30 },
    { "<", "PUBLISH" }, { ">", fault.raw "40 r2" }, { ">", "fin" }, { "<", "close" },
  }
  local c = t:connect { broker = p }
  expect(c:subscribe("a", 0)):equals(0)
  expect(#c:next_message().payload):equals(100)
  expect(c:try_publish("a", "b", { qos = 1 })):equals(-11)
end)
