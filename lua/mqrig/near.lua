-- near: which known word did somebody mean who wrote an unknown one?

local M = {}

local LONGEST = 64 -- beyond this no word is compared

-- Letters that one spelling may vary freely.
local function plain(word)
  return (word:lower():gsub("[-_ ]", ""))
end

-- Edits (insert, delete, change, swap two neighbours) that turn a into b: optimal string alignment.
local function distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do
    last[j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local change = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + change)
      if before and i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

-- How far a word is from a known one; nil when nobody would confuse them.
local function apart(word, known)
  local a, b = plain(word), plain(known)
  local d = distance(a, b)
  if d <= math.max(1, math.min(#a, #b) // 3) and d < #b and d < #a then
    return d
  end
  -- A beginning of three letters or more, or something added to a known word.
  local short, long = a, b
  if #short > #long then
    short, long = b, a
  end
  if #short >= 3 and long:sub(1, #short) == short then
    return 10 + #long - #short
  end
end

--- The nearest of `list` (an array of strings; others are passed over), or nil. Of equally near ones, the first in the
--- alphabet.
function M.find(word, list)
  local best, best_apart
  if type(word) ~= "string" or #word > LONGEST or word == "" then
    return nil
  end
  for _, known in ipairs(list) do
    local d = type(known) == "string" and known ~= "" and #known <= LONGEST and apart(word, known)
    if d and (not best or d < best_apart or (d == best_apart and known < best)) then
      best, best_apart = known, d
    end
  end
  return best
end

--- 'did you mean "drop"?', or nil.
function M.suggest(word, list)
  local known = M.find(word, list)
  return known and ('did you mean "%s"?'):format(known)
end

--- The string keys of a table in order: a list for `find`.
function M.keys(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) == "string" then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  return keys
end

--- Raises for the first key of `options` that is not a key of `known` (a table with the known names as keys, or an
--- array of them): `what: no option "retian", did you mean "retain"?`, `level` levels above the caller (1: the caller).
function M.check(options, known, what, level)
  local names = known[1] and known or M.keys(known)
  local set = {}
  for _, name in ipairs(names) do
    set[name] = true
  end
  for _, key in ipairs(M.keys(options)) do
    if not set[key] then
      local hint = M.suggest(key, names) or "known: " .. table.concat(names, ", ")
      error(('%s: no option "%s", %s'):format(what, key, hint), (level or 1) + 1)
    end
  end
end

return M
