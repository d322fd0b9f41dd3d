-- blame: errors at the line of who made them, which is the innermost line outside this library.

local near = require "mqrig.near"
local units = require "mqrig.units"

local M = {}

-- "@mqrig/" inside the program, "@lua/mqrig/" from the tree: what the sources of the library begin with.
local home = debug.getinfo(1, "S").source:match "^(.*)blame%.lua$"
local getinfo = debug.getinfo

local function is_ours(source)
  return source:sub(1, #home) == home
end

--- Whether a file, as messages name it, is one of the library's.
function M.is_ours(file)
  return is_ours("@" .. file)
end

--- File and line of the innermost Lua function outside the library, in `co` or here; nil if there is none.
function M.where(co)
  local level = co and 0 or 2
  while true do
    local info
    if co then
      local ok -- a coroutine whose stack is full cannot even be asked
      ok, info = pcall(getinfo, co, level, "Sl")
      info = ok and info or nil
    else
      info = getinfo(level, "Sl")
    end
    if not info then
      return nil
    end
    if info.currentline > 0 and info.source:sub(1, 1) == "@" and not is_ours(info.source) then
      return info.source:sub(2), info.currentline
    end
    level = level + 1
  end
end

--- Raises `message` at the user's line.
function M.raise(message)
  local file, line = M.where()
  error(file and ("%s:%d: %s"):format(file, line, message) or message, 0)
end

--- A message without a position in the library's own files.
function M.strip(message)
  local file, rest = message:match "^([^\n:]+%.lua):%d+: (.*)$"
  return file and is_ours("@" .. file) and rest or message
end

local function passed(ok, first, ...)
  if ok then
    return first, ...
  elseif type(first) == "string" then
    M.raise(M.strip(first))
  end
  error(first, 0)
end

--- f(...), whose errors become the user's.
function M.call(f, ...)
  return passed(pcall(f, ...))
end

--- `names` as the set that M.options takes.
function M.set(names)
  local set = {}
  for name in names:gmatch "%S+" do
    set[name] = true
  end
  return set
end

--- Checks an options table: nil or a table whose text keys are in the set `known`. Returns it, or an empty one.
function M.options(given, known, what)
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    M.raise(("%s: options are a table, not a %s"):format(what, type(given)))
  end
  for key in next, given do
    if not known[key] then
      local names = near.keys(known)
      local hint = near.suggest(key, names) or "known: " .. table.concat(names, ", ")
      M.raise(('%s: no option "%s", %s'):format(what, tostring(key), hint))
    end
  end
  return given
end

--- A duration in nanoseconds.
function M.duration_ns(value, what)
  local s, sentence = units.parse_duration(value)
  if not s then
    M.raise(what .. ": " .. sentence)
  end
  return math.floor(s * 1e9 + 0.5)
end

M.WITHIN_NS = 5000000000 -- how long a wait lasts unless told otherwise

--- The option `within` of a waiting verb.
function M.within_ns(options, what)
  local within = options and options.within
  return within == nil and M.WITHIN_NS or M.duration_ns(within, what .. ": within")
end

--- The user's own lines of a traceback; all of them if there are none.
function M.own_lines(traceback)
  local kept = {}
  for line in traceback:gmatch "[^\n]+" do
    local file = line:match "^%s*(.-):%d+: in "
    if file and not is_ours("@" .. file) then
      kept[#kept + 1] = line:gsub("^%s+", "  ")
    end
  end
  return #kept > 0 and table.concat(kept, "\n") or traceback
end

--- A traceback of a coroutine, the user's own lines of it.
function M.traceback(co)
  return M.own_lines(debug.traceback(co))
end

return M
