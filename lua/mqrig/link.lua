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
  object.once(computed, direction, function(self)
    return rule.place(self, direction)
  end)
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

--- Sends a TLS alert now; all but warnings end the connection.
function Link:alert(name)
  if type(name) ~= "string" then
    blame.raise 'alert takes the name of a TLS alert, such as "internal_error"'
  end
  if blame.call(self.scope.act, self.scope, "alert", name) == 0 then
    blame.raise(("alert: %s has no connection that is up"):format(rawget(self, "name")))
  end
end

--- Installs a rule by its text.
function Link:rule(text, group)
  return rule.install(self, text, group)
end

M.meta = object.class("link", Link, computed, "name")

function M.new(scenario, scope, name)
  return setmetatable({ scenario = scenario, scope = scope, name = name }, M.meta)
end

--- Gives a class, by its computed values, a link, and those of "up down both sys" that begin its rules. `where` returns
--- the scenario, scope and name of one.
function M.give(class, begins, where)
  object.once(class, "link", function(self)
    return M.new(where(self))
  end)
  for name in begins:gmatch "%S+" do
    object.once(class, name, function(self)
      return name == "sys" and rule.place(self.link, "sys") or self.link[name]
    end)
  end
end

return M
