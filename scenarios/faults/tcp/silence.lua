-- Ends that say nothing: stopped processes, connections that vanished, readers that do not read, listeners that do not
-- accept.
local rig = require "mqrig"
local plain = require "plain"
local scenario, expect = rig.scenario, rig.expect

scenario("stopped by SIGSTOP: sends and connects succeed, nothing comes back", plain.options, function(t)
  local stopped, port = plain.listener(t, 5, "accept", "read:1", "write:1")
  local other = plain.run(t, "connect:" .. port, "go", "write:1000", "drain", "silent:200", "read:1")
  stopped:wait_output "accepted"
  other:wait_output "waiting"
  stopped:pause()
  other:signal "HUP"
  local second = plain.run(t, "connect:" .. port, "write:10", "drain", "silent:100")
  second:wait()
  expect(second.stdout):equals "connected\nwrote 10\nunsent 0\nsilent\n"
  other:wait_output "wrote 1000\nunsent 0\nsilent\n"
  stopped:resume()
  other:wait_output "read 1\n"
end)

-- Where TCP_REPAIR may not be used the connection is not read any more instead, and the timeline says why.
scenario("vanished: nothing at all, whatever is sent", plain.options, function(t)
  local other, conn = plain.connect(t, t:peer(), "go", "write:1000", "silent:300", "go")
  other:wait_output "waiting"
  conn:vanish()
  other:signal "HUP"
  other:wait_output "wrote 1000\nsilent\nwaiting"
end)

scenario("vanished: nothing at all, also when this end is closed", plain.options, function(t)
  local probe = plain.run(t, "repair")
  probe:wait()
  if not probe.stdout:find "yes" then
    t:skip("TCP_REPAIR needs the capability CAP_NET_ADMIN, which is not here: " .. probe.stdout:match ": (%S+)")
  end
  local peer = t:peer()
  local other, conn = plain.connect(t, peer, "go", "write:1000", "silent:300")
  other:wait_output "waiting"
  conn:vanish()
  peer:stop()
  other:signal "HUP"
  other:wait()
  expect(other.stdout):contains "wrote 1000\nsilent\n"
end)

scenario("never reads: megabytes are taken before there is no more room", plain.options, function(t)
  local other, conn = plain.connect(t, t:peer(), "go", "fill:100000000")
  conn:stall()
  other:wait_output "waiting"
  other:signal "HUP"
  expect(tonumber(other:wait_output "filled (%d+)\n")):is_between(1000000, 99999999)
end)

scenario("never reads, with a small buffer: less is taken", plain.options, function(t)
  local peers, took = { t:peer(), t:peer { receive_buffer = 4096 } }, {}
  for i, peer in ipairs(peers) do
    local other, conn = plain.connect(t, peer, "go", "fill:100000000")
    conn:stall()
    other:wait_output "waiting"
    other:signal "HUP"
    took[i] = tonumber(other:wait_output "filled (%d+)\n")
  end
  expect(took[2]):is_between(1, took[1] - 1)
end)

for _, backlog in ipairs { 0, 1, 5 } do
  scenario(("never accepts, backlog %d: %d connect, the next is not answered"):format(backlog, backlog + 1),
    plain.options, function(t)
      local peer = t:peer { backlog = backlog }
      peer:pause()
      local other = plain.run(t, ("connects:%s:150"):format(peer.url:match ":(%d+)$"))
      other:wait()
      expect(other.stdout):equals(("%d connected, the next: no answer\n"):format(backlog + 1))
    end)
end

scenario("a listener that answers nobody: not even the first connects", plain.options, function(t)
  local peer = t:peer()
  local allowed, why = pcall(function() peer.up:on("accept"):no_answer() end)
  if not allowed then
    t:skip(tostring(why))
  end
  local other = plain.run(t, ("connects:%s:150"):format(peer.url:match ":(%d+)$"))
  other:wait()
  expect(other.stdout):equals "0 connected, the next: no answer\n"
end)
