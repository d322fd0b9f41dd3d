-- mqrig: what `require "mqrig"` gives to a scenario file. Its parts are loaded when they are first used.

local parts = {
  mqtt = function()
    return require("mqrig.mqttapi").api
  end,
  scenario = function()
    return require("mqrig.registry").add
  end,
  explored = function()
    return require("mqrig.registry").explored
  end,
  expect = function()
    return require("mqrig.expect").expect
  end,
  fault = function()
    return require "mqrig.fault"
  end,
  net = function()
    return require("mqrig.simnetwork").net
  end,
  clock = function()
    return require("mqrig.simnetwork").clock
  end,
  version = function()
    return require("mqrig.core").version
  end,
}

local M = {}

return setmetatable(M, {
  __name = "mqrig",
  __index = function(_, name)
    local part = parts[name]
    if not part then
      local near = require "mqrig.near"
      local hint = near.suggest(name, near.keys(parts)) or "known: " .. table.concat(near.keys(parts), ", ")
      require("mqrig.blame").raise(('mqrig has no "%s", %s'):format(tostring(name), hint))
    end
    local value = part()
    rawset(M, name, value)
    return value
  end,
})
