-- What these scenarios share: the other end is not mqrig's, but a plain socket program (plainsocket.c), told what to do
-- word by word. `-p plainsocket=PATH` says where it is, if it is not installed with mqrig.
local M = {}

--- Options of a scenario with that program, which needs a real network and speaks plain TCP.
M.options = { tags = { "faults", "tcp" }, net = "real", transport = "tcp", params = { plainsocket = "plainsocket" } }

--- Runs the program with these words. Without it the scenario is skipped.
function M.run(t, ...)
  local started, process = pcall(t.process, t, { t.params.plainsocket, ... })
  if not started then
    t:skip("needs the program plainsocket, which is installed with mqrig: " .. tostring(process))
  end
  return process
end

--- One that listens; returns it and its port.
function M.listener(t, backlog, ...)
  local process = M.run(t, ("listen:%d"):format(backlog), ...)
  return process, process:wait_output "port (%d+)"
end

--- One that connects to a peer, and the peer's end of it.
function M.connect(t, peer, ...)
  local process = M.run(t, "connect:" .. peer.url:match ":(%d+)$", ...)
  return process, t:wait(function() return peer:conn() end)
end

--- A connection of mqrig's, without a session, to one that listens.
function M.client(t, port)
  return t:raw_client { url = "tcp://127.0.0.1:" .. port }
end

return M
