-- mqttapi: `rig.mqtt`, the client API itself. It is made in C; only this is added here: a client that a scenario made
-- and
-- left as it was ends with its scenario.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local sandbox = require "mqrig.sandbox"
local simulation = require "mqrig.simulation"

local M = {}

local made -- clients of the scenario that runs, as far as it holds on to them: one that it drops is collected
local hosts = {} -- where each is at home

local function createclient(...)
  if not made then
    return blame.call(core.mqtt.createclient, ...)
  end
  local host = ("client%d"):format(made.count + 1)
  local client = blame.call(simulation.at, host, core.mqtt.createclient, ...)
  made.count = made.count + 1
  made[made.count] = client
  hosts[client] = host
  return client
end

M.api = {}
for name, value in pairs(core.mqtt) do
  M.api[name] = value
end
M.api.createclient = createclient

--- From now on clients are remembered.
function M.begin()
  local weak = simulation.is_on() and sandbox.setmetatable or setmetatable
  made = weak({ count = 0 }, { __mode = "v" })
  hosts = weak({}, { __mode = "k" })
end

--- The name of the host that a client of the scenario is at home on; nil: it is none.
function M.host(client)
  return hosts[client]
end

--- Closes those that there still are, newest first.
function M.finish()
  local list = made
  made = nil
  for i = list and list.count or 0, 1, -1 do
    if list[i] then
      list[i]:close()
    end
  end
end

return M
