-- playscript: the steps of peer:play as they are written become steps as they are run.
--
-- A step: { kind=, number=, text=, delay_ns=, ... }
--   "expect"    wanted, within_ns             a packet from the client
--   "ended"     how, within_ns                the end of the connection by the client
--   "send"      type and fields, or bytes; split, gap_ns
--   "act"       verb
--   "any_order" list of wanted, within_ns
--   "never"     wanted, for_ns
--   "call"      fn
--   "wait"      nothing but its delay

local blame = require "mqrig.blame"
local match = require "mqrig.match"
local near = require "mqrig.near"
local show = require "mqrig.show"
local units = require "mqrig.units"
local wire = require "mqrig.wire"

local M = {}

M.STEPS_MAX = 100000
M.NEVER_NS = 200000000 -- how long "never" watches unless told

local acts = blame.set "rst fin close vanish stall resume"
local ends = blame.set "rst fin close"
local SHAPES = '{ "<", TYPE, fields }, { ">", TYPE, fields }, { ">", bytes }, { ">", "rst" }, { any_order = {...} }, '
  .. '{ "never", TYPE, fields }, { "+1.0" } or a function'

local function wrong(number, sentence, ...)
  blame.raise(("peer:play, step %s: %s"):format(number, sentence:format(...)))
end

-- Takes the options of a step out of its named values; what stays are fields.
local function split_options(step, names)
  local options, fields = {}, {}
  for key, value in next, step do
    if names[key] then
      options[key] = value
    elseif math.type(key) ~= "integer" then
      fields[key] = value
    end
  end
  return options, fields
end

local function check_fields(number, fields)
  local ok, message = pcall(wire.fields, fields)
  if not ok then
    wrong(number, "%s", (message:gsub("^.-:%d+: ", "")))
  elseif fields.within ~= nil then
    wrong(number, "within is for what is expected")
  end
  return next(fields) ~= nil and fields or nil
end

local function no_fields(number, fields, what)
  local key = next(fields)
  if key ~= nil then
    wrong(number, "%s has no %s", what, tostring(key))
  end
end

local function duration(number, value, preset_ns, what)
  if value == nil then
    return preset_ns
  end
  local s, sentence = units.parse_duration(value)
  return s and math.floor(s * 1e9 + 0.5) or wrong(number, "%s: %s", what, sentence)
end

-- A packet's name, "any", one of `words`, or bytes.
local function kind_of(number, what, words)
  if type(what) ~= "string" or what == "" then
    wrong(number, "a packet's name or bytes are due, not %s", show.value(what))
  elseif words[what] then
    return "word"
  elseif what == "any" or wire.is_type(what) then
    return "packet"
  elseif what:match "^%a%a[%a_]*$" then
    local names = near.keys(words)
    for _, name in ipairs(wire.types) do
      names[#names + 1] = name
    end
    wrong(number, "%s is no packet and no action, %s", show.value(what), near.suggest(what, names)
      or "known: " .. table.concat(names, ", "))
  end
  return "bytes"
end

local function wanted_of(number, what, fields)
  if kind_of(number, what, {}) == "packet" then
    return { type = what, fields = check_fields(number, fields) }
  end
  no_fields(number, fields, "an expectation of bytes")
  return { bytes = what }
end

local function parse_expect(number, what, step, within_ns)
  local options, fields = split_options(step, blame.set "within")
  local parsed = { kind = "expect", within_ns = duration(number, options.within, within_ns, "within") }
  if kind_of(number, what, ends) == "word" then
    no_fields(number, fields, "the end of a connection")
    parsed.kind, parsed.how, parsed.text = "ended", what, '"<", "' .. what .. '"'
  else
    parsed.wanted = wanted_of(number, what, fields)
    parsed.text = '"<", ' .. match.text(parsed.wanted)
  end
  return parsed
end

local function sendable(number, fields)
  for name, value in next, fields do
    if value == match.ANY then
      wrong(number, "%s: any value can be expected, not sent", name)
    end
  end
  return fields
end

local function parse_send(number, what, step, within_ns)
  local options, fields = split_options(step, blame.set "split gap")
  local kind = kind_of(number, what, acts)
  local parsed = { kind = kind == "word" and "act" or "send", within_ns = within_ns }
  if kind == "word" then
    no_fields(number, step.split and { split = true } or fields, "an action")
    parsed.verb, parsed.text = what, '">", "' .. what .. '"'
    return parsed
  elseif kind == "bytes" then
    no_fields(number, fields, "a step that sends bytes")
    parsed.bytes, parsed.text = what, '">", bytes ' .. match.hex(what)
  elseif what == "any" then
    wrong(number, "any packet can be expected, not sent")
  else
    parsed.type, parsed.fields = what, sendable(number, check_fields(number, fields) or {})
    parsed.text = '">", ' .. match.text { type = what, fields = fields }
  end
  if options.split ~= nil and (math.type(options.split) ~= "integer" or options.split < 1) then
    wrong(number, "split is a number of bytes from 1, not %s", show.value(options.split))
  end
  parsed.split, parsed.gap_ns = options.split, duration(number, options.gap, 0, "gap")
  return parsed
end

local function parse_never(number, what, step)
  local options, fields = split_options(step, blame.set "for_")
  local wanted = wanted_of(number, what, fields)
  local for_ns = duration(number, options.for_, M.NEVER_NS, "for_")
  return { kind = "never", wanted = wanted, for_ns = for_ns, text = '"never", ' .. match.text(wanted) }
end

local function parse_any_order(number, step, within_ns)
  local options, fields = split_options(step, blame.set "any_order within")
  no_fields(number, fields, "any_order")
  if type(step.any_order) ~= "table" or #step.any_order == 0 then
    wrong(number, "any_order is a list of steps")
  end
  local list, texts = {}, {}
  for i, inner in ipairs(step.any_order) do
    local inside = ("%s, any_order %d"):format(number, i)
    if type(inner) ~= "table" or inner[1] ~= "<" or inner[3] ~= nil then
      wrong(inside, 'what comes in any order are packets from the client: { "<", TYPE, fields }')
    elseif inner[2] == "CONNECT" then
      wrong(inside, "CONNECT begins a connection: it has its place in the order")
    end
    local _, inner_fields = split_options(inner, {})
    list[i] = wanted_of(inside, inner[2], inner_fields)
    texts[i] = match.text(list[i])
  end
  local within = duration(number, options.within, within_ns, "within")
  return { kind = "any_order", list = list, within_ns = within, text = "any order of " .. table.concat(texts, ", ") }
end

local function parse_words(number, step, at, within_ns)
  local word, what = step[at], step[at + 1]
  if word == nil and step.any_order ~= nil then
    return parse_any_order(number, step, within_ns)
  elseif word == nil and at > 1 and next(step, 1) == nil then
    return { kind = "wait", text = "a wait" }
  elseif step[at + 2] ~= nil then
    wrong(number, "behind %s come fields by name, not %s", show.value(what), show.value(step[at + 2]))
  elseif word == "<" then
    return parse_expect(number, what, step, within_ns)
  elseif word == ">" then
    return parse_send(number, what, step, within_ns)
  elseif word == "never" then
    return parse_never(number, what, step)
  end
  wrong(number, "it is none of %s", SHAPES)
end

local function parse_step(number, step, within_ns)
  if type(step) == "function" then
    return { kind = "call", fn = step, text = "a function" }
  elseif type(step) ~= "table" then
    wrong(number, "it is %s, not one of %s", show.value(step), SHAPES)
  end
  local delay = type(step[1]) == "string" and step[1]:match "^%+%s*(.+)$"
  local parsed = parse_words(number, step, delay and 2 or 1, within_ns)
  parsed.delay_ns = delay and duration(number, delay, nil, "delay")
  return parsed
end

local known = blame.set "default within name"

--- Returns the steps, and the options: default, within_ns, name.
function M.parse(script)
  if type(script) ~= "table" then
    blame.raise(("peer:play takes a list of steps, not a %s"):format(type(script)))
  end
  local options = split_options(script, known)
  for key in next, script do
    if not known[key] and not (math.type(key) == "integer" and key >= 1 and key <= #script) then
      blame.options({ [key] = true }, known, "peer:play")
    end
  end
  if #script == 0 then
    blame.raise "peer:play takes a list of steps, and this is empty"
  elseif #script > M.STEPS_MAX then
    blame.raise(("a play has at most %d steps, this has %d"):format(M.STEPS_MAX, #script))
  end
  options.within_ns = blame.within_ns(options, "peer:play")
  local steps = {}
  for i, step in ipairs(script) do
    steps[i] = parse_step(i, step, options.within_ns)
    steps[i].number = i
  end
  return steps, options
end

--- Whether this step is a CONNECT that is to come.
function M.is_connect(step)
  return step.kind == "expect" and step.wanted.type == "CONNECT"
end

--- How many connections the steps need: one for each CONNECT, one if something else stands before the first.
function M.connections(steps)
  local count, first = 0, nil
  for _, step in ipairs(steps) do
    if step.kind ~= "wait" and step.kind ~= "call" then
      first = first or step
    end
    count = count + (M.is_connect(step) and 1 or 0)
  end
  local joins = first ~= nil and not M.is_connect(first)
  return count, joins
end

return M
