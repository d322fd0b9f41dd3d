-- compare: equality of any two values by what they hold, and what to say when they nearly agree.

local show = require "mqrig.show"

local M = {}

local DEPTH_MAX = 100

local function plain_table(v)
  return type(v) == "table" and not (getmetatable(v) and getmetatable(v).__eq)
end

local function equal(a, b, depth)
  if a == b or (a ~= a and b ~= b) then
    return true
  elseif not (plain_table(a) and plain_table(b)) or depth > DEPTH_MAX then
    return false
  end
  for key, value in next, a do
    if not equal(value, rawget(b, key), depth + 1) then
      return false
    end
  end
  for key in next, b do
    if rawget(a, key) == nil then
      return false
    end
  end
  return true
end

--- Tables are equal when they hold the same; nan equals itself; 1 equals 1.0; "1" does not equal 1.
function M.equal(a, b)
  return equal(a, b, 0)
end

--- Whether `value` is a table that has at least the fields of `fields`, at any depth.
function M.includes(value, fields)
  if type(value) ~= "table" or type(fields) ~= "table" then
    return M.equal(value, fields)
  end
  for key, wanted in next, fields do
    if not M.includes(value[key], wanted) then
      return false
    end
  end
  return true
end

local function text_near(got, wanted)
  if got:lower() == wanted:lower() then
    return "they differ in upper and lower case only"
  elseif got:gsub("%s+", "") == wanted:gsub("%s+", "") then
    return "they differ in white space only"
  elseif #got < #wanted and wanted:sub(1, #got) == got then
    return ("the %d bytes that came are right, %d are missing at the end"):format(#got, #wanted - #got)
  elseif #got > #wanted and got:sub(1, #wanted) == wanted then
    return ("%d bytes too many at the end: %s"):format(#got - #wanted, show.text(got:sub(#wanted + 1), 40))
  end
  local i = 1
  while got:byte(i) == wanted:byte(i) do
    i = i + 1
  end
  if i > 1 and #got > 8 then
    local g, w = show.text(got:sub(i, i + 15)), show.text(wanted:sub(i, i + 15))
    return ("they differ from byte %d: %s, not %s"):format(i, g, w)
  end
end

local function key_path(path, key)
  return type(key) == "string" and path .. "." .. key or ("%s[%s]"):format(path, show.value(key))
end

-- The keys of both in a stable order.
local function all_keys(a, b)
  local keys, seen = {}, {}
  for _, t in ipairs { a, b } do
    for key in next, t do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys, function(x, y)
    if type(x) == type(y) and type(x) ~= "table" and type(x) ~= "boolean" and type(x) ~= "userdata" then
      return type(x) ~= "function" and x < y
    end
    return type(x) < type(y)
  end)
  return keys
end

local function first_difference(got, wanted, path, depth)
  if M.equal(got, wanted) then
    return nil
  elseif not (plain_table(got) and plain_table(wanted)) or depth > DEPTH_MAX then
    return path, got, wanted
  end
  for _, key in ipairs(all_keys(got, wanted)) do
    if not M.equal(rawget(got, key), rawget(wanted, key)) then
      return first_difference(rawget(got, key), rawget(wanted, key), key_path(path, key), depth + 1)
    end
  end
end

local function table_near(got, wanted)
  local path, a, b = first_difference(got, wanted, "it", 0)
  local difference = ("%s is %s, not %s"):format(path, show.value(a), show.value(b))
  if #got ~= #wanted and #got + #wanted > 0 then
    return ("%d items, not %d; first difference: %s"):format(#got, #wanted, difference)
  end
  return difference
end

--- A sentence on how two unequal values nearly agree, or nil.
function M.near_miss(got, wanted)
  local tg, tw = type(got), type(wanted)
  if tg == "string" and tw == "string" then
    return text_near(got, wanted)
  elseif tg == "table" and tw == "table" then
    return table_near(got, wanted)
  elseif tg ~= tw and (tg == "string" or tg == "number" or tg == "boolean") and tostring(got) == tostring(wanted) then
    return ("they look alike, but a %s came and a %s is wanted"):format(tg, tw)
  elseif tw == "boolean" and (got == 0 or got == 1) and (got == 1) == wanted then
    return ("%d came, which is a number: compare with %d"):format(got, got)
  elseif tg == "number" and tw == "number" and got == -wanted then
    return "they differ in sign only"
  end
end

return M
