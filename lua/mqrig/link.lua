-- link: a place where faults happen: a client's link, a peer, one connection of a peer.
--
-- `.up`, `.down` and `.both` begin a rule (rule.lua); the actions here happen now, on every connection of the place
-- that is up.

local blame = require "mqrig.blame"
local object = require "mqrig.object"
local rule = require "mqrig.rule"

local M = {}

local Link = {}
local computed = {}

for _, direction in ipairs { "up", "down", "both" } do
  computed[direction] = function(self)
    local place = rule.place(self, direction)
    rawset(self, direction, place)
    return place
  end
end

--- A rule for both directions.
function Link:on(...)
  return self.both:on(...)
end

local function act(verb)
  return function(self, ...)
    if select("#", ...) > 0 then
      blame.raise(("%s() on a link happens now, as a whole, and takes no arguments"):format(verb))
    end
    local scope = rawget(self, "scope")
    if blame.call(scope.act, scope, verb) == 0 then
      blame.raise(("%s: %s has no connection that is up"):format(verb, rawget(self, "name")))
    end
  end
end

for verb in ("rst fin vanish stall resume close"):gmatch "%S+" do
  Link[verb] = act(verb)
end

--- Installs a rule by its text.
function Link:rule(text, group)
  return rule.install(self, text, group)
end

M.meta = object.class("link", Link, computed, "name")

function M.new(scenario, scope, name)
  return setmetatable({ scenario = scenario, scope = scope, name = name }, M.meta)
end

return M
