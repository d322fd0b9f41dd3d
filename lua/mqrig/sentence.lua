-- sentence: the words of fault rules: what each is called, what values it takes, and how they are written in a rule's
-- text.
--
-- The engine has the same vocabulary and the last word on what makes sense; this here turns Lua values into words.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local fault = require "mqrig.fault"
local show = require "mqrig.show"

local M = {}

local function integer(value, what)
  local whole = math.tointeger(value)
  if type(value) ~= "number" or not whole then
    blame.raise(("%s takes an integer, not %s"):format(what, show.value(value)))
  end
  return tostring(whole)
end

-- 0.25, "25%": without an exponent, which the engine does not read.
local function ratio(value, what)
  if type(value) == "string" and value:match "^[%d.]+%%$" then
    return value
  elseif type(value) ~= "number" then
    blame.raise(("%s takes a number from 0 to 1, not %s"):format(what, show.value(value)))
  end
  return (("%.9f"):format(value):gsub("0+$", ""):gsub("%.$", ""))
end

local function text(value, what)
  if type(value) ~= "string" then
    blame.raise(("%s takes a text, not %s"):format(what, show.value(value)))
  elseif value:match "^[%w_/+#$.*?:-]+$" then
    return value
  end
  local quoted = value:gsub('["\\]', "\\%0"):gsub("%c", function(char)
    return ("\\x%02x"):format(char:byte())
  end)
  return '"' .. quoted .. '"'
end

local function duration(value, what)
  return fault.duration_text(blame.duration_ns(value, what))
end

-- One value, or a distribution of such.
local function drawn(value, what, write)
  if fault.is_distribution(value) then
    return fault.distribution_text(value, function(part) return write(part, what) end)
  elseif type(value) == "string" and value:find("(", 1, true) then
    return (value:gsub("%s", ""))
  end
  return write(value, what)
end

local function delay(value, what)
  return drawn(value, what, duration)
end

local function size(value, what)
  local bytes, sentence = require("mqrig.units").parse_size(value)
  if not bytes then
    blame.raise(what .. ": " .. sentence)
  end
  return tostring(bytes)
end

local function pieces(value, what)
  return drawn(value, what, size)
end

local function flag(value, what)
  if type(value) ~= "boolean" then
    blame.raise(("%s takes true or false, not %s"):format(what, show.value(value)))
  end
  return tostring(value)
end

local function direction(value, what)
  if value ~= "up" and value ~= "down" then
    blame.raise(('%s takes "up" or "down", not %s'):format(what, show.value(value)))
  end
  return value
end

--- Bytes or a packet's table as the text has them.
function M.bytes(value, what)
  if type(value) == "table" then
    value = blame.call(core.encode, value)
  elseif type(value) ~= "string" or value == "" then
    blame.raise(("%s takes bytes or a packet, not %s"):format(what, show.value(value)))
  end
  return "hex:" .. value:gsub(".", function(char)
    return ("%02x"):format(char:byte())
  end)
end

local spot_known = blame.set "field byte bit"

-- { field = "topic", byte = 3, bit = 0 }: "field=topic,byte=3,bit=0".
local function spot(value, what)
  local options = blame.options(value, spot_known, what)
  local parts = {}
  if options.field ~= nil then
    parts[1] = "field=" .. text(options.field, what .. ": field")
  end
  for _, name in ipairs { "byte", "bit" } do
    if options[name] ~= nil then
      parts[#parts + 1] = name .. "=" .. integer(options[name], ("%s: %s"):format(what, name))
    end
  end
  return #parts > 0 and table.concat(parts, ",") or nil
end

local who_known = blame.set "who"

-- { who = "client" }: "who=client".
local function who(value, what)
  local options = blame.options(value, who_known, what)
  return options.who ~= nil and "who=" .. text(options.who, what .. ": who") or nil
end

local kinds = {
  integer = integer,
  ratio = ratio,
  text = text,
  duration = duration,
  delay = delay,
  pieces = pieces,
  size = size,
  flag = flag,
  direction = direction,
  spot = spot,
  who = who,
}

-- Word by word the kinds of its values; "?": it may be left out.

M.clauses = {
  qos = { "integer" },
  id = { "integer" },
  topic = { "text" },
  client = { "text" },
  retain = { "flag" },
  size = { "size", "size?" },
  reason = { "integer" },
  during = { "duration", "duration" },
  at = { "duration" },
  first = {},
  nth = { "integer" },
  range = { "integer", "integer" },
  every = { "integer" },
  prob = { "ratio" },
  times = { "integer" },
  across = {},
  at_byte = { "integer" },
  before = {},
  after_packet = {},
}

M.actions = {
  delay = { "delay" },
  rate = { "size" },
  split = { "pieces", "duration?" },
  coalesce = { "size", "duration?" },
  stall = { "duration?" },
  blackhole = { "duration?" },
  corrupt = { "spot?" },
  truncate = { "integer" },
  rst = { "who?" },
  fin = { "direction?" },
  close = {},
  slow_close = { "duration" },
  vanish = {},
  refuse = {},
  no_answer = {},
  dead_upstream = {},
  drop = {},
  overtake = { "integer?" },
  hold = {},
  short = { "size" },
  errno = { "text" },
  fail = {},
  cert = { "text" },
  alert = { "text", "text?" },
  stall_at = { "text", "duration?" },
  close_without_notify = {},
}

M.obligations = { must_fire = { "integer?" }, may_fire = {}, name = { "text" } }

local of_network = "it is done by the network, not by a rule: rig.net:partition(a, b), :oneway(a, b), :loss(p), :heal()"

--- Words that can do nothing here, and why.
M.absent = {
  loss = of_network,
  partition = of_network,
  oneway = of_network,
  heal = of_network,
}

--- "name value value"
function M.clause(name, places, ...)
  local words = { name }
  local given = select("#", ...)
  if given > #places then
    blame.raise(("%s takes %d value%s, not %d"):format(name, #places, #places == 1 and "" or "s", given))
  end
  for i, place in ipairs(places) do
    local value = select(i, ...)
    local kind = place:gsub("%?$", "")
    if value ~= nil then
      words[#words + 1] = kinds[kind](value, name) -- none where its table is empty
    elseif kind == place then
      blame.raise(("%s lacks its value, %s"):format(name, #places == 1 and "one" or "number " .. i))
    end
  end
  return table.concat(words, " ")
end

return M
