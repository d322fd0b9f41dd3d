-- Resets, as TCP really does them: what the other kernel has is read first, what it does not have is gone.
local rig = require "mqrig"
local plain = require "plain"
local scenario, expect = rig.scenario, rig.expect

scenario("7 bytes and a reset at once: 7 are read, then ECONNRESET", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "read")
  local raw = plain.client(t, port)
  raw:send("1234567")
  raw.link:rst()
  other:wait()
  expect(other.stdout):contains "read 7 then ECONNRESET"
end)

scenario("7 bytes and a reset at once, also when it reads late", plain.options, function(t)
  local other, conn = plain.connect(t, t:peer(), "await-reset", "read")
  conn:send_raw("1234567")
  conn:rst()
  other:wait()
  expect(other.stdout):contains "it was reset\nread 7 then ECONNRESET"
end)

scenario("a reset by a rule, 7 bytes into the stream", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "read")
  local raw = plain.client(t, port)
  raw.link.up:on("PINGREQ"):nth(4):at_byte(1):rst()
  for _ = 1, 4 do
    raw:send("PINGREQ")
  end
  other:wait()
  expect(other.stdout):contains "read 7 then ECONNRESET"
end)

-- Two plain programs: what mqrig's own ends have to be like.
scenario("megabytes and a reset at once: what was not sent yet is gone", plain.options, function(t)
  local reader, port = plain.listener(t, 5, "accept", "go", "read")
  local writer = plain.run(t, "connect:" .. port, "fill:3900000", "reset")
  local written = tonumber(writer:wait_output "filled (%d+)")
  writer:wait()
  reader:wait_output "waiting"
  reader:signal "HUP"
  local got = tonumber(reader:wait_output "read (%d+) then ECONNRESET")
  expect(written):is_at_least(1000000)
  expect(got):is_between(1, written // 2)
end)

scenario("megabytes, all acknowledged, and a reset: nothing is gone", plain.options, function(t)
  local reader, port = plain.listener(t, 5, "accept", "read")
  local writer = plain.run(t, "connect:" .. port, "write:3900000", "drain", "reset")
  writer:wait()
  reader:wait()
  expect(reader.stdout):contains "read 3900000 then ECONNRESET"
end)

scenario("megabytes and a reset by a rule: it waits until the other kernel has them", plain.options, function(t)
  local other, port = plain.listener(t, 5, "accept", "go", "read")
  local raw = plain.client(t, port)
  raw.link.up:on("bytes"):at_byte(3900001):rst()
  raw:send(("x"):rep(3900000))
  other:wait_output "waiting"
  other:signal "HUP"
  raw:send("yz")
  other:wait()
  expect(other.stdout):contains "read 3900001 then ECONNRESET"
end)
