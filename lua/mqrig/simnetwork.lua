-- simnetwork: `rig.net`, what only a simulated network can do: partitions, ways that lose, latency, rate.
--
-- A node is a client, raw client, peer, proxy or broker of the scenario, its name as a text, or a list of nodes: what
-- is said of two lists holds for each pair. On a real network every call ends the scenario as skipped.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local fault = require "mqrig.fault"
local object = require "mqrig.object"
local show = require "mqrig.show"
local simulation = require "mqrig.simulation"
local units = require "mqrig.units"

local M = {}

local PARTS = 1000000 -- of a probability
local EVERYWHERE = { {} } -- the one pair without ends: all ways that were not set for themselves

local whole = { cut = false, loss = { 0, 1 } }

-- "c1": the host of a node.
local function host_of(node, what)
  local name = node
  if type(node) == "userdata" then
    name = require("mqrig.mqttapi").host(node)
  elseif type(node) == "table" then
    name = rawget(node, "name")
  end
  if type(name) ~= "string" then
    blame.raise(("%s takes a client, a peer, a broker, a proxy, or a name, not %s"):format(what, show.value(node)))
  end
  if type(node) == "string" then
    simulation.mention(node, what)
  end
  return simulation.host(name)
end

local function is_list(node)
  return type(node) == "table" and getmetatable(node) == nil
end

--- The names of the hosts of a node or a list of nodes.
function M.hosts(node, what)
  local hosts = {}
  for i, one in ipairs(is_list(node) and node or { node }) do
    hosts[i] = host_of(one, what)
  end
  if #hosts == 0 then
    blame.raise(what .. " takes a node, or a list of nodes, not nil or an empty list")
  end
  return hosts
end

-- { { from, to }, ... }
local function pairs_of(a, b, both, what)
  local list = {}
  for _, from in ipairs(M.hosts(a, what)) do
    for _, to in ipairs(M.hosts(b, what)) do
      list[#list + 1] = { from, to }
      if both and from ~= to then
        list[#list + 1] = { to, from }
      end
    end
  end
  return list
end

-- What was set for itself: a change for all ways is one for these, too.
local known

local function set(list, fields)
  for _, pair in ipairs(list) do
    core.sim.link(pair[1], pair[2], fields)
    if pair[1] then
      local key = pair[1] .. " " .. pair[2]
      known[#known + 1] = not known[key] and pair or nil
      known[key] = true
    else
      for _, one in ipairs(known) do
        core.sim.link(one[1], one[2], fields)
      end
    end
  end
end

-- Both ways between a and b, or all ways there are.
local function ways(a, b, what)
  if a == nil and b == nil then
    return EVERYWHERE
  end
  return pairs_of(a, b, true, what)
end

local function ratio(p, what)
  local value = type(p) == "string" and p:match "^([%d.]+)%%$"
  value = value and tonumber(value) / 100 or p
  if type(value) ~= "number" or not (value >= 0 and value <= 1) then
    blame.raise(('%s takes a probability from 0 to 1, or "5%%", not %s'):format(what, show.value(p)))
  end
  return { math.floor(value * PARTS + 0.5), PARTS }
end

local function begin(what)
  simulation.needs_virtual(what)
  known = simulation.keep("ways", {})
end

local Net = {}

--- Nothing passes between a and b, in either direction, until healed.
function Net:partition(a, b)
  begin "net:partition"
  set(pairs_of(a, b, true, "net:partition"), { cut = true })
  return self
end

--- Nothing passes from a to b; what b sends arrives.
function Net:oneway(a, b)
  begin "net:oneway"
  set(pairs_of(a, b, false, "net:oneway"), { cut = true })
  return self
end

--- That part of what is sent is lost and sent again later, between a and b or everywhere.
function Net:loss(p, a, b)
  begin "net:loss"
  set(ways(a, b, "net:loss"), { loss = ratio(p, "net:loss") })
  return self
end

--- Ends partitions and losses, between a and b or everywhere.
function Net:heal(a, b)
  begin "net:heal"
  set(ways(a, b, "net:heal"), whole)
  return self
end

--- How long a way takes: a duration or a distribution.
function Net:latency(delay, a, b)
  begin "net:latency"
  local text = fault.is_distribution(delay) and tostring(delay)
  text = text or fault.duration_text(blame.duration_ns(delay, "net:latency"))
  set(ways(a, b, "net:latency"), { latency = text })
  return self
end

--- Bytes a second that a way takes, of all connections on it; 0: without limit.
function Net:rate(bytes_per_s, a, b)
  begin "net:rate"
  local bytes, sentence = units.parse_size(bytes_per_s)
  if not bytes then
    blame.raise("net:rate: " .. sentence)
  end
  set(ways(a, b, "net:rate"), { rate = bytes })
  return self
end

-- A link: the ways between two nodes, and a place for rules on the connection that one of them makes to the other.

local Link = {}
local computed = {}

for name in ("partition oneway heal"):gmatch "%S+" do
  Link[name] = function(self)
    Net[name](M.net, self.a, self.b)
    return self
  end
end

for name in ("loss latency rate"):gmatch "%S+" do
  Link[name] = function(self, value)
    Net[name](M.net, value, self.a, self.b)
    return self
  end
end

-- Who connects, and the field that tells to what.
local dialling = { client = "url", ["raw client"] = "url", proxy = "upstream" }

-- The link of `from`, if that is what connects to `to`.
local function dials(from, to)
  local meta = type(from) == "table" and type(to) == "table" and getmetatable(from)
  local field = meta and dialling[meta.__name]
  return field and from[field] == rawget(to, "url") and from.link
end

local function place(self)
  local link = dials(self.a, self.b) or dials(self.b, self.a)
  if not link then
    blame.raise(("%s: neither is a client that connects to the other, and rules are about its connection"):format(
      self.name))
  end
  return link
end

for _, direction in ipairs { "up", "down", "both" } do
  computed[direction] = function(self)
    return place(self)[direction]
  end
end

--- A rule for both directions.
function Link:on(...)
  return place(self).both:on(...)
end

for verb in ("rst fin vanish stall resume close"):gmatch "%S+" do
  Link[verb] = function(self, ...)
    local link = place(self)
    return link[verb](link, ...)
  end
end

M.link_meta = object.class("net:link", Link, computed, "name", "a b")

--- The link between two nodes.
function Net:link(a, b)
  begin "net:link"
  if is_list(a) or is_list(b) then
    blame.raise "net:link is between two nodes, not between lists"
  end
  local name = ("net:link(%s, %s)"):format(host_of(a, "net:link"), host_of(b, "net:link"))
  return setmetatable({ a = a, b = b, name = name }, M.link_meta)
end

M.meta = object.class("net", Net)
M.net = setmetatable({}, M.meta)

-- Clocks.

local Clock = {}

--- The clock of the node goes forward by that much, or back where it begins with a minus.
function Clock:jump(by)
  local back = type(by) == "string" and by:match "^%-(.+)$" or (type(by) == "number" and by < 0 and -by)
  local ns = blame.duration_ns(back or by, "clock:jump")
  for _, host in ipairs(self.hosts) do
    core.sim.jump(host, back and -ns or ns)
  end
  return self
end

--- The clock shows `a` seconds in `b` real ones: drift(11, 10) is fast.
function Clock:drift(a, b)
  for _, n in ipairs { a or false, b or false } do
    if math.type(n) ~= "integer" or n < 1 or n > 0xffffffff then
      blame.raise(("clock:drift takes two integers, shown and real, as in drift(11, 10), not %s"):format(show.value(n)))
    end
  end
  for _, host in ipairs(self.hosts) do
    core.sim.drift(host, a, b)
  end
  return self
end

M.clock_meta = object.class("clock", Clock, nil, nil, "hosts")

--- `rig.clock(node)`: the clock of a node, or of a list of nodes.
function M.clock(node)
  simulation.needs_virtual "clock"
  return setmetatable({ hosts = M.hosts(node, "clock") }, M.clock_meta)
end

return M
