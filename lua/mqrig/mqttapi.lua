-- mqttapi: `rig.mqtt`, the client API itself. It is made in C; only this is added here: a client that a scenario made
-- and
-- left as it was ends with its scenario.

local core = require "mqrig.core"
local blame = require "mqrig.blame"

local M = {}

local made -- clients of the scenario that runs, as far as it holds on to them: one that it drops is collected

local function createclient(...)
  local client = blame.call(core.mqtt.createclient, ...)
  if made then
    made.count = made.count + 1
    made[made.count] = client
  end
  return client
end

M.api = {}
for name, value in pairs(core.mqtt) do
  M.api[name] = value
end
M.api.createclient = createclient

--- From now on clients are remembered.
function M.begin()
  made = setmetatable({ count = 0 }, { __mode = "v" })
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
