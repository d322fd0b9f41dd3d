-- Closing, as TCP really does it: half of a connection, all of it, and with bytes that nobody has read.
local rig = require "mqrig"
local plain = require "plain"
local scenario, expect = rig.scenario, rig.expect

scenario("half-closed: end of file, and its own writes still arrive", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "read", "write:2")
  local raw = plain.client(t, port)
  raw:send("1234567")
  raw.link:fin()
  expect(#raw:recv_bytes(2)):equals(2)
  expect(raw:wait_closed()):equals "fin"
  expect(other.stdout):contains "read 7 then end\nwrote 2\n"
end)

scenario("half-closed by the other: end of file, and our own writes still arrive", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "write:3", "shutdown", "read:7")
  local raw = plain.client(t, port)
  expect(#raw:recv_bytes(3)):equals(3)
  expect(raw:wait_closed()):equals "fin"
  raw:send("1234567")
  other:wait()
  expect(other.stdout):contains "read 7\n"
end)

scenario("closed with unread bytes: what it wrote is read, then ECONNRESET", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "go", "write:100", "drain", "go", "read")
  local raw = plain.client(t, port)
  raw:send("1234567")
  raw.link:stall()
  other:wait_output "waiting"
  other:signal "HUP"
  other:wait_output "unsent 0\nwaiting"   -- the kernel at this end has them, and nobody has read them
  raw:close()
  other:signal "HUP"
  other:wait()
  expect(other.stdout):contains "read 7 then ECONNRESET"
end)

scenario("closed, and the other writes: the first write succeeds, the next is EPIPE", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "read", "write:1", "await-reset", "write:1")
  local raw = plain.client(t, port)
  raw:send("1234567")
  raw:close()
  other:wait()
  expect(other.stdout):contains "read 7 then end\nwrote 1\nit was reset\nwrote 0 then EPIPE\n"
end)

-- Killed: by mqrig, a plain program; what the other plain program sees.
scenario("killed with nothing unread: what it wrote, then the end of file", plain.options, function(t)
  local victim, port = plain.listener(t, 5, "accept", "read:100", "write:7", "go")
  local other = plain.run(t, "connect:" .. port, "write:100", "read")
  victim:wait_output "waiting"
  victim:kill()
  other:wait()
  expect(other.stdout):contains "read 7 then end"
end)

scenario("killed with unread bytes: what it wrote, then ECONNRESET", plain.options, function(t)
  local victim, port = plain.listener(t, 5, "accept", "write:7", "go")
  local other = plain.run(t, "connect:" .. port, "write:100", "drain", "go", "read")
  victim:wait_output "waiting"
  other:wait_output "waiting"
  victim:kill()
  victim:wait()
  other:signal "HUP"
  other:wait()
  expect(other.stdout):contains "read 7 then ECONNRESET"
end)
