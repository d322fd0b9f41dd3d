-- text: strings made fit to print, for a terminal, a shell and a file name.

local M = {}

local function escaped(bytes)
  return (bytes:gsub(".", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

-- A character that may go out: no control, no surrogate, nothing that XML 1.0 forbids or that reorders a line.
local function is_plain(code)
  return code >= 0x20 and not (code >= 0x7f and code < 0xa0) and not (code >= 0xd800 and code <= 0xdfff)
    and not (code >= 0x202a and code <= 0x202e) and not (code >= 0x2066 and code <= 0x2069)
    and code ~= 0xfffe and code ~= 0xffff and code <= 0x10ffff
end

--- Any bytes as printable UTF-8: what is none becomes \xNN. `keep` is a string of control characters to be left alone.
function M.printable(bytes, keep)
  bytes = tostring(bytes)
  if not bytes:find "[^\x20-\x7e]" then
    return bytes
  end
  local out, at = {}, 1
  while at <= #bytes do
    local stop = bytes:match("^[\x20-\x7e]+()", at)
    local byte = bytes:sub(at, at)
    if stop then
      out[#out + 1] = bytes:sub(at, stop - 1)
    elseif keep and keep:find(byte, 1, true) then
      out[#out + 1], stop = byte, at + 1
    else
      local character = bytes:match("^[\xc2-\xf4][\x80-\xbf]+", at)
      local length = character and (byte < "\xe0" and 2 or byte < "\xf0" and 3 or 4)
      character = character and character:sub(1, length)
      local known = character and utf8.len(character) and is_plain(utf8.codepoint(character))
      stop = at + (known and length or 1)
      out[#out + 1] = known and character or escaped(byte)
    end
    at = stop
  end
  return table.concat(out)
end

--- At most `columns` characters of printable text, the cut shown as "...".
function M.cut(s, columns)
  local length = utf8.len(s)
  if not length or length <= columns then
    return length and s or s:sub(1, columns)
  end
  return s:sub(1, utf8.offset(s, columns - 2) - 1) .. "..."
end

--- Lines of at most `columns` characters of a text of one line, broken at spaces where there are any.
function M.wrap(s, columns)
  local lines = {}
  while (utf8.len(s) or #s) > columns do
    local stop = (utf8.offset(s, columns + 1) or columns + 1) - 1 -- the last byte that fits
    local space = s:sub(1, stop + 1):match "^.*() "
    local at = space and space > stop // 2 and space or stop + 1
    lines[#lines + 1] = s:sub(1, at - 1)
    s = s:sub(at):gsub("^ ", "")
  end
  lines[#lines + 1] = s
  return lines
end

--- A word as a shell takes it.
function M.shell(word)
  if word ~= "" and not word:find "[^%w%-_./:=,@%%+]" then
    return word
  end
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

--- Letters, digits and hyphens: a piece of a file name.
function M.slug(s, most)
  return (s:lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):sub(1, most):gsub("%-+$", ""))
end

--- A number that names this text: FNV-1a, 64 bits, mixed.
function M.hash(s, seed)
  local h = 0xcbf29ce484222325 ~ (seed or 0) * 0x9e3779b97f4a7c15
  for i = 1, #s do
    h = (h ~ s:byte(i)) * 0x100000001b3
  end
  h = (h ~ (h >> 30)) * 0xbf58476d1ce4e5b9
  h = (h ~ (h >> 27)) * 0x94d049bb133111eb
  return h ~ (h >> 31)
end

--- A text written in lines as one paragraph, for who breaks lines himself; empty lines stay.
function M.flow(s)
  return (s:gsub("\n\n", "\0"):gsub("%s*\n", " "):gsub("\0", "\n\n"))
end

--- The lines of a text, without the line ends; a last empty one is none.
function M.lines(s)
  local list = {}
  for line in (s:gsub("\n$", "") .. "\n"):gmatch "(.-)\r?\n" do
    list[#list + 1] = line
  end
  return list
end

return M
