-- Many connected clients that do nothing, and the memory that each takes.
local rig = require "mqrig"
local mqtt, scenario = rig.mqtt, rig.scenario

scenario("idle", { timeout = 60, params = { clients = 1000, out = "" } }, function(t)
  local clients, up = {}, 0
  local function resident_kib()
    collectgarbage()
    local f <close> = assert(io.open("/proc/self/statm"))
    local _, pages = f:read("n", "n")
    return pages * 4
  end
  local function open(i)
    clients[i] = mqtt.createclient()
    clients[i]:onconnect(function(code) up = up + (code == mqtt.SUCCESS and 1 or 0) end)
    clients[i]:connect(t.broker.url, "bench-mqrig-" .. i)
    if i % 50 == 0 or i == 1 then
      t:wait(function() return up == i end, { within = 10 })
    end
  end
  open(1)
  local before_kib = resident_kib()
  for i = 2, t.params.clients do open(i) end
  local each_kib = (resident_kib() - before_kib) / (t.params.clients - 1)
  local out <close> = assert(io.open(t.params.out, "w"))
  out:write(("clients=%d each_kib=%.3f\n"):format(t.params.clients, each_kib))
  for _, client in ipairs(clients) do client:close() end
end)
