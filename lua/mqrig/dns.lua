-- dns: faults of names: t:dns("broker.example"):fail("NXDOMAIN"). What is told here is asked before any resolver.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local object = require "mqrig.object"
local show = require "mqrig.show"

local M = {}

local Dns = {}

local function check_text(value, what)
  if type(value) ~= "string" then
    blame.raise(("%s, not %s"):format(what, show.value(value)))
  end
  return value
end

--- Looking it up fails: "NXDOMAIN" (there is none), "NODATA", "SERVFAIL", "REFUSED", or "TIMEOUT": nobody answers.
function Dns:fail(how)
  blame.call(core.name_fail, self.name, check_text(how, 'fail takes what goes wrong, such as "NXDOMAIN"'))
  return self
end

--- From now on it stands for these addresses, in this order.
function Dns:answer(...)
  local addresses = table.pack(...)
  if addresses.n == 0 then
    blame.raise "answer takes an address, or several"
  end
  blame.call(core.name_fail, self.name, "NODATA") -- what it stood for before is over
  for i = 1, addresses.n do
    blame.call(core.name_answer, self.name, check_text(addresses[i], "answer takes addresses"))
  end
  return self
end

--- Looking it up takes so long.
function Dns:after_delay(duration)
  blame.call(core.name_delay, self.name, blame.duration_ns(duration, "after_delay"))
  return self
end

--- It is looked up as ever.
function Dns:off()
  core.name_forget(self.name)
end

Dns.close = Dns.off

M.meta = object.class("dns", Dns, nil, "name")
M.meta.__close = Dns.off

--- The name of a host, until the scenario ends.
function M.new(scenario, name)
  local self = setmetatable({ name = check_text(name, "t:dns takes the name of a host") }, M.meta)
  scenario:own(self)
  return self
end

return M
