-- mqttproxy: the mqtt client of a scenario client, as `c.mqtt`: everything goes to the real one, but its three
-- handlers are called besides
-- the scenario client's own.

local blame = require "mqrig.blame"

local M = {}

local Proxy = {}

-- The field of the scenario client that holds the user's handler.
local slots = { onconnect = "user_onconnect", onconnectionlost = "user_onconnectionlost", onmessage = "user_onmessage" }

for name, slot in pairs(slots) do
  Proxy[name] = function(self, fn)
    if fn ~= nil and type(fn) ~= "function" then
      blame.raise(("%s takes a function or nil, not a %s"):format(name, type(fn)))
    end
    rawset(rawget(self, "client"), slot, fn)
  end
end

local function passed_on(name)
  return function(self, ...)
    local real = rawget(self, "real")
    local ok, first = pcall(real[name], real, ...)
    if not ok then
      blame.raise((blame.strip(tostring(first)):gsub("to '%?'", ("to '%s'"):format(name))))
    end
    return first
  end
end

for name in ("connect createmessage subscribe unsubscribe disconnect isconnected close"):gmatch "%S+" do
  Proxy[name] = passed_on(name)
end

local meta = {
  __name = "mqtt client",
  __index = Proxy,
  __close = function(self)
    Proxy.close(self)
  end,
}

M.methods = Proxy

function M.new(client, real)
  return setmetatable({ client = client, real = real }, meta)
end

return M
