-- object: what scenarios hold in their hands: methods, values that are computed when they are read, and a clear word
-- for a wrong name.

local blame = require "mqrig.blame"
local near = require "mqrig.near"

local M = {}

local function names_of(class)
  local names = {}
  for _, name in ipairs(near.keys(class.methods)) do
    names[#names + 1] = not class.private[name] and name or nil
  end
  for _, name in ipairs(near.keys(class.computed)) do
    names[#names + 1] = name
  end
  for name in pairs(class.public) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- A metatable. `methods`: functions by name. `computed`: functions of the object by name. `public`: names of plain
--- fields, divided by spaces, that
--- may be nil; `private`: such that are the library's own.
function M.class(name, methods, computed, public, private)
  local class = {
    methods = methods,
    computed = computed or {},
    public = blame.set(public or ""),
    private = blame.set(private or ""),
  }
  local meta = { __name = name, class = class }
  function meta.__index(self, key)
    local method = methods[key]
    if method ~= nil then
      return method
    end
    local compute = class.computed[key]
    if compute then
      return compute(self)
    elseif class.private[key] or class.public[key] or type(key) ~= "string" then
      return nil
    end
    local names = names_of(class)
    local hint = near.suggest(key, names) or "known: " .. table.concat(names, ", ")
    blame.raise(("%s has no %s, %s"):format(name, key, hint))
  end
  function meta.__tostring(self)
    local own = rawget(self, "name")
    return type(own) == "string" and name .. " " .. own or name
  end
  return meta
end

--- A computed value that is made when it is asked for, once.
function M.once(computed, name, make)
  computed[name] = function(self)
    local made = make(self)
    rawset(self, name, made)
    return made
  end
end

--- The public names of a class: for the reference and its test.
function M.names(meta)
  return names_of(meta.class)
end

return M
