-- expect: expect(value):equals(other) and its sisters. A failure raises a value that holds what was expected and what
-- came.

local compare = require "mqrig.compare"
local failure = require "mqrig.failure"
local blame = require "mqrig.blame"
local near = require "mqrig.near"
local show = require "mqrig.show"

local Verbs = {}

local meta = {
  __name = "expectation",
  __index = function(_, name)
    local verb = Verbs[name]
    if not verb then
      local hint = near.suggest(name, near.keys(Verbs)) or "known: " .. table.concat(near.keys(Verbs), ", ")
      blame.raise(("expect(...) has no verb %s, %s"):format(show.value(name), hint))
    end
    return verb
  end,
}

local function value_of(e)
  if getmetatable(e) ~= meta then
    blame.raise "call it with a colon: expect(value):equals(other)"
  end
  return rawget(e, "value")
end

local function fail(message, expected, got, hint)
  failure.raise { message = message .. (hint and ": " .. hint or ""), expected = expected, got = got }
end

-- Names beside numbers only where both are result codes: 0 and 1 are mostly numbers.
local function show_pair(got, wanted)
  local g, w = show.code_name(got), show.code_name(wanted)
  if math.type(got) == "integer" and math.type(wanted) == "integer" and (g or w) and (got < 0 or wanted < 0) then
    return show.code(got), show.code(wanted)
  end
  if type(got) == "string" and type(wanted) == "string" then
    local got_part, wanted_part = show.text_pair(got, wanted)
    if got_part then
      return got_part, wanted_part
    end
  end
  return show.result(got), show.result(wanted)
end

function Verbs:equals(wanted)
  local got = value_of(self)
  if not compare.equal(got, wanted) then
    local g, w = show_pair(got, wanted)
    fail("the values are not equal", w, g, compare.near_miss(got, wanted))
  end
  return self
end

function Verbs:differs(other)
  local got = value_of(self)
  if compare.equal(got, other) then
    fail("the values are equal", "anything but " .. show.result(other), show.result(got))
  end
  return self
end

-- true, false and nil are wanted as they are, not what merely counts as such.
local function exactly(wanted)
  return function(self)
    local got = value_of(self)
    if got ~= wanted then
      fail("the value is not " .. tostring(wanted), tostring(wanted), show.result(got), compare.near_miss(got, wanted))
    end
    return self
  end
end

Verbs.is_true = exactly(true)
Verbs.is_false = exactly(false)
Verbs.is_nil = exactly(nil)

local function contains(got, part)
  if type(got) == "string" then
    return type(part) == "string" and got:find(part, 1, true) ~= nil
  end
  for _, item in next, got do
    if compare.equal(item, part) then
      return true
    end
  end
  return type(part) == "table" and compare.includes(got, part)
end

local function contains_near(got, part)
  if type(got) == "string" then
    local found = type(part) == "string" and got:lower():find(part:lower(), 1, true)
    return found and "it is there in other letter case" or nil
  end
  for _, item in next, got do
    local hint = type(item) ~= "table" and compare.near_miss(item, part)
    if hint then
      return ("nearest is %s: %s"):format(show.result(item), hint)
    end
  end
end

--- A text contains a text; a table contains an item, or all the fields of a table.
function Verbs:contains(part)
  local got = value_of(self)
  if type(got) ~= "string" and type(got) ~= "table" then
    local expected = "a text or a table with " .. show.result(part)
    fail("only a text or a table can contain something", expected, show.result(got))
  elseif not contains(got, part) then
    local hint = contains_near(got, part)
    fail("the value does not contain it", "something with " .. show.result(part), show.result(got), hint)
  end
  return self
end

local function check_pattern(pattern)
  local ok, why = pcall(string.find, "", pattern)
  if not ok then
    blame.raise(("%s is no Lua pattern: %s"):format(show.value(pattern), why))
  end
end

--- A text matches a Lua pattern; a table has the fields of a table.
function Verbs:matches(pattern)
  local got = value_of(self)
  if type(pattern) == "table" then
    if not compare.includes(got, pattern) then
      fail("the value does not have these fields", show.value(pattern), show.value(got))
    end
    return self
  end
  check_pattern(pattern)
  if type(got) ~= "string" then
    fail("the value is not a text", "a text that matches " .. show.value(pattern), show.result(got))
  elseif not got:find(pattern) then
    local hint
    if got:find(pattern, 1, true) then
      hint = "it is there letter by letter: in a pattern, % goes before ^$()%.[]*+-?"
    end
    fail("the text does not match", "a text that matches " .. show.value(pattern), show.value(got), hint)
  end
  return self
end

local function check_number(bound)
  if type(bound) ~= "number" then
    blame.raise(("a bound is a number, not %s"):format(show.value(bound)))
  end
end

local function compare_number(self, ok, expected)
  local got = value_of(self)
  if type(got) ~= "number" then
    local hint = tonumber(got) and "it is a text that looks like one" or nil
    fail("the value is not a number", expected, show.result(got), hint)
  elseif not ok(got) then
    fail("the number is out of bounds", expected, show.result(got))
  end
  return self
end

function Verbs:is_between(low, high)
  check_number(low)
  check_number(high)
  return compare_number(self, function(got)
    return got >= low and got <= high
  end, ("a number from %s to %s"):format(low, high))
end

function Verbs:is_at_least(low)
  check_number(low)
  return compare_number(self, function(got)
    return got >= low
  end, ("a number of at least %s"):format(low))
end

function Verbs:is_at_most(high)
  check_number(high)
  return compare_number(self, function(got)
    return got <= high
  end, ("a number of at most %s"):format(high))
end

function Verbs:is_one_of(list)
  local got = value_of(self)
  if type(list) ~= "table" then
    blame.raise(("is_one_of takes a list, not %s"):format(show.value(list)))
  end
  local names = {}
  for i = 1, #list do
    if compare.equal(got, list[i]) then
      return self
    end
    names[i] = show.result(list[i])
  end
  local hint
  for i = 1, #list do
    hint = hint or (type(list[i]) ~= "table" and type(got) ~= type(list[i]) and compare.near_miss(got, list[i]) or nil)
  end
  fail("the value is none of these", "one of " .. table.concat(names, ", "), show.result(got), hint)
end

--- Calls the value, a function that is to raise an error; with `pattern`, its text must contain or match that.
function Verbs:raises(pattern)
  local fn = value_of(self)
  local callable = type(fn) == "function" or (getmetatable(fn) or {}).__call
  if not callable then
    blame.raise(("raises takes a function: expect(function() ... end):raises(...), not %s"):format(show.value(fn)))
  end
  local ok, raised = pcall(fn)
  if ok then
    fail("no error was raised", pattern and "an error with " .. show.value(pattern) or "an error", "none")
  elseif pattern ~= nil then
    local text = tostring(raised)
    local found = text:find(pattern, 1, true)
    if not found then
      check_pattern(pattern)
      found = text:find(pattern)
    end
    if not found then
      fail("another error was raised", "an error with " .. show.value(pattern), show.value(text))
    end
  end
  return self
end

local M = {}

M.verbs = Verbs

--- The beginning of every expectation.
function M.expect(value)
  return setmetatable({ value = value }, meta)
end

return M
