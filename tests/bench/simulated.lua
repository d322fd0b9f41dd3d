-- What sim.lua measures: worlds of so many clients for so long. The name says which.
local rig = require "mqrig"

local function connected(t, count)
  local clients = {}
  for i = 1, count do clients[i] = t:connect { keepalive = 60 } end
  return clients
end

local function sends_each_second(t, clients, seconds, qos)
  for _ = 1, seconds do
    for i, c in ipairs(clients) do c:send("bench/" .. i, "a message", { qos = qos }) end
    t:sleep(1)
  end
end

local options = { net = "sim", timeout = "2d" }

rig.scenario("nothing", options, function() end)

for _, case in ipairs { { 1, 3600 }, { 1, 86400 }, { 10, 86400 }, { 100, 86400 }, { 1000, 86400 } } do
  local count, seconds = case[1], case[2]
  rig.scenario(("pings of %d for %d s"):format(count, seconds), options, function(t)
    connected(t, count)
    t:sleep(seconds)
  end)
end

for _, case in ipairs { { 1, 10000, 1 }, { 10, 10000, 0 }, { 10, 10000, 1 }, { 10, 10000, 2 }, { 100, 1000, 1 } } do
  local count, seconds, qos = case[1], case[2], case[3]
  rig.scenario(("messages of %d for %d s at QoS %d"):format(count, seconds, qos), options, function(t)
    sends_each_second(t, connected(t, count), seconds, qos)
  end)
end
