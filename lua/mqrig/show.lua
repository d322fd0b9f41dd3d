-- show: any value as text that is stable from run to run, safe on a terminal, and of bounded length.

local M = {}

M.TEXT_MAX = 200   -- bytes of one string
M.ITEMS_MAX = 24   -- of one table
M.DEPTH_MAX = 4
M.WHOLE_MAX = 2000 -- bytes in all

-- Codes of the mqtt object that say something: shown with their names.
local code_names = {
  [-1] = "FAILURE",
  [-3] = "ERROR_DISCONNECTED",
  [-10] = "ERROR_NO_MORE_MSGIDS",
  [-11] = "ERROR_OPERATION_INCOMPLETE",
  [-12] = "ERROR_MAX_BUFFERED_MESSAGES",
}

--- "ERROR_NO_MORE_MSGIDS" for -10; nil for a number that is no result code.
function M.code_name(value)
  if value == 0 then
    return "SUCCESS"
  end
  return code_names[value]
end

--- A result code with its name: `-10 (ERROR_NO_MORE_MSGIDS)`.
function M.code(value)
  local name = M.code_name(value)
  return name and ("%d (%s)"):format(value, name) or tostring(value)
end

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(char)
  return escapes[char] or ("\\x%02x"):format(char:byte())
end

-- The text cut to at most `most` bytes, not inside a character.
local function cut(text, most)
  if #text <= most then
    return text, ""
  end
  while most > 0 and text:byte(most + 1) & 0xc0 == 0x80 do
    most = most - 1
  end
  return text:sub(1, most), "..."
end

--- In quotes, control characters and what is not UTF-8 as escapes.
function M.text(text, most)
  local head, rest = cut(text, most or M.TEXT_MAX)
  head = head:gsub('[%c"\\]', escape)
  if not utf8.len(head) then
    head = head:gsub("[\x80-\xff]", escape)
  end
  return '"' .. head .. '"' .. rest .. (rest ~= "" and (" (%d bytes)"):format(#text) or "")
end

local WINDOW_BEFORE, WINDOW = 20, 60

--- Two texts of which at least one is long, both from shortly before the byte where they begin to differ; nil where
--- they differ early enough to be shown from their beginning.
function M.text_pair(a, b)
  local at = 1
  while at <= #a and a:byte(at) == b:byte(at) do
    at = at + 1
  end
  if at <= WINDOW then
    return nil
  end
  local from = at - WINDOW_BEFORE
  local function window(text)
    local rest = #text - from - WINDOW + 1
    return ("from byte %d of %d: %s%s"):format(from, #text, M.text(text:sub(from, from + WINDOW - 1)),
      rest > 0 and "..." or "")
  end
  return window(a), window(b)
end

local kinds = { number = 1, string = 2, boolean = 3 }

local function key_order(a, b)
  local ka, kb = kinds[type(a)] or 4, kinds[type(b)] or 4
  if ka ~= kb then
    return ka < kb
  elseif ka <= 2 then
    return a < b
  end
  return tostring(a) < tostring(b)
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do
    if not (math.type(key) == "integer" and key >= 1 and key <= #t) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, key_order)
  return keys
end

local show

local function show_key(key)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" then
    return key
  end
  return "[" .. show(key, M.DEPTH_MAX, {}) .. "]"
end

local function show_table(t, depth, seen)
  if seen[t] then
    return "{ itself }"
  elseif depth >= M.DEPTH_MAX then
    return "{...}"
  end
  seen[t] = true
  local parts = {}
  local function add(text)
    if #parts < M.ITEMS_MAX then
      parts[#parts + 1] = text
    end
    return #parts < M.ITEMS_MAX
  end
  local count = #t
  for i = 1, count do
    if not add(show(t[i], depth + 1, seen)) then
      break
    end
  end
  local keys = sorted_keys(t)
  for _, key in ipairs(keys) do
    if not add(show_key(key) .. "=" .. show(rawget(t, key), depth + 1, seen)) then
      break
    end
  end
  seen[t] = nil
  local left = count + #keys - #parts
  if left > 0 then
    parts[#parts + 1] = ("... %d more"):format(left)
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function show_function(f)
  local info = debug.getinfo(f, "S")
  return info.what == "C" and "a C function" or ("function at %s:%d"):format(info.short_src, info.linedefined)
end

-- Objects show themselves, or their kind: an address would differ from run to run.
local function show_object(value, meta)
  if type(meta) == "table" and meta.__tostring then
    local ok, text = pcall(tostring, value)
    text = ok and text or "an object whose __tostring fails"
    return (text:gsub(":? ?0x%x+", ""))
  end
  return type(meta) == "table" and type(meta.__name) == "string" and meta.__name or type(value)
end

function show(value, depth, seen)
  local kind = type(value)
  if kind == "string" then
    return M.text(value)
  elseif kind == "number" then
    return value ~= value and "nan" or tostring(value)
  elseif kind == "function" then
    return show_function(value)
  elseif kind == "table" or kind == "userdata" then
    local meta = getmetatable(value)
    if kind == "userdata" or (type(meta) == "table" and (meta.__tostring or meta.__name)) then
      return show_object(value, meta)
    end
    return show_table(value, depth, seen)
  elseif kind == "thread" then
    return "thread"
  end
  return tostring(value)
end

--- A value as text.
function M.value(value)
  local head, rest = cut(show(value, 0, {}), M.WHOLE_MAX)
  return head .. rest
end

--- A URL without its password.
function M.url(url)
  return (tostring(url):gsub("^(%a+://[^/@]*):[^/]*@", "%1:***@"))
end

--- As `value`, with a result code's name where it is one that can be no plain number.
function M.result(value)
  if math.type(value) == "integer" and code_names[value] then
    return M.code(value)
  end
  return M.value(value)
end

return M
