-- A broker restarts, and all its clients come back at the same moment.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

scenario("100 clients reconnect all at once, through a backlog for 20",
  { net = "sim", tags = "sim", timeout = "5m" }, function(t)
    local peer = t:peer { backlog = 20 }
    local clients = {}
    for i = 1, 100 do
      clients[i] = t:connect { broker = peer, timeout = "2m" }
    end
    peer:restart()
    for _, c in ipairs(clients) do
      expect(c:wait_lost()):equals(-1)
    end

    local began = t:now()
    local tasks = {}
    for i, c in ipairs(clients) do
      tasks[i] = t:spawn(function()
        c:connect()
      end)
    end
    for _, task in ipairs(tasks) do
      task:join { within = "3m" }
    end
    expect(t:now() - began):is_at_least(1) -- who finds the backlog full asks again after 1 s, 3 s, 7 s, ...
    for _, c in ipairs(clients) do
      expect(c:try_publish("back", "", { qos = 1 })):equals(0)
    end
  end)
