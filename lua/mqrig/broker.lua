-- broker: the broker under test, as the command line chose it: built in, a mosquitto of its own, or one that runs
-- somewhere.

local blame = require "mqrig.blame"
local object = require "mqrig.object"
local show = require "mqrig.show"

local M = {}

-- A broker that runs somewhere: nothing is known of it but its address.
local Remote = {}

for name in ("stop start restart kill pause resume"):gmatch "%S+" do
  Remote[name] = function(self)
    blame.raise(("t.broker:%s() needs a broker that mqrig started, and %s was given by its URL"):format(name, show.url(self.url)))
  end
end

function Remote:log()
  return ""
end

M.remote_meta = object.class("broker", Remote, nil, "url name")

--- Where a client is to connect: its option `url`, or `broker` (a broker, a peer, or a URL), or the broker under test.
function M.url(scenario, options)
  local broker = options.broker
  if options.url ~= nil then
    return options.url
  elseif type(broker) == "string" then
    return broker
  elseif broker ~= nil and type(broker) ~= "table" then
    blame.raise(("broker is a broker, a peer or a URL, not a %s"):format(type(broker)))
  end
  return (broker or scenario.broker).url
end

--- `choice`: "builtin", "mosquitto" or a URL.
function M.new(scenario, choice)
  if choice == "builtin" then
    return require("mqrig.peer").new(scenario, nil, "broker", false)
  elseif choice == "mosquitto" then
    return require("mqrig.mosquitto").new(scenario, nil, "mosquitto")
  end
  return setmetatable({ url = choice, name = "broker" }, M.remote_meta)
end

return M
