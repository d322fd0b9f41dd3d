-- paths: file names as they are shown, and directories opened up into scenario files.

local core = require "mqrig.core"
local near = require "mqrig.near"

local M = {}

local DEPTH_MAX = 32 -- directories inside directories; links that lead round end there

--- Without "./", "//" and "a/..".
function M.normal(path)
  local root, parts = path:sub(1, 1) == "/" and "/" or "", {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and #parts > 0 and parts[#parts] ~= ".." then
      parts[#parts] = nil
    elseif part ~= "." and not (part == ".." and root == "/") then
      parts[#parts + 1] = part
    end
  end
  local result = root .. table.concat(parts, "/")
  return result == "" and "." or result
end

--- Normal, and relative to the working directory if it is in there.
function M.shown(path)
  path = M.normal(path)
  local here = path:sub(1, 1) == "/" and core.realpath "."
  if here and path:sub(1, #here + 1) == here .. "/" then
    return path:sub(#here + 2)
  end
  return path
end

local root -- where relative names begin; nil: in the working directory

--- Names that are shown keep their meaning when the working directory is another from now on.
function M.keep_root(folder)
  root = folder
end

--- The file that is shown by this name, for opening it.
function M.at(path)
  return root and path:sub(1, 1) ~= "/" and root .. "/" .. path or path
end

function M.folder(path)
  return path:match "^(.*)/[^/]*$" or "."
end

function M.base(path)
  return path:match "[^/]*$"
end

function M.join(folder, name)
  return folder == "." and name or folder .. "/" .. name
end

--- Writes a whole file: true, or nil and a sentence.
function M.write(path, contents)
  local file, why = io.open(path, "w")
  if not file then
    return nil, why
  end
  local written, problem = file:write(contents)
  local closed, late = file:close()
  if not written or not closed then
    return nil, ("%s: %s"):format(path, problem or late)
  end
  return true
end

function M.is_directory(path)
  return core.directory(path) ~= nil
end

function M.exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

local function walk(folder, depth, out)
  for _, entry in ipairs(core.directory(folder) or {}) do
    local path = M.join(folder, entry.name)
    if entry.name:sub(1, 1) == "." then
      goto continue
    elseif entry.is_directory and depth < DEPTH_MAX then
      walk(path, depth + 1, out)
    elseif not entry.is_directory and entry.name:find "%.lua$" then
      out[#out + 1] = path
    end
    ::continue::
  end
end

local function missing(path)
  local folder, names = M.folder(path), {}
  for _, entry in ipairs(core.directory(folder) or {}) do
    names[#names + 1] = entry.name
  end
  local name = near.find(M.base(path), names)
  local hint = name and (', did you mean "%s"?'):format(M.join(folder, name)) or ""
  return ('there is no file or directory "%s"%s'):format(path, hint)
end

--- The scenario files of the arguments: { {file=, lines={} or nil}, ... } in the order given, each file once;
--- directories are opened up in alphabetical order. `PATH:LINE` adds to `lines`. Nil and a sentence: not there.
function M.expand(arguments)
  local list, known = {}, {}
  local function take(file, line)
    file = M.shown(file)
    local entry = known[file]
    if not entry then
      entry = { file = file, lines = line and {} or nil }
      known[file], list[#list + 1] = entry, entry
    end
    if line and entry.lines then
      table.insert(entry.lines, line)
    else
      entry.lines = nil
    end
  end
  for _, argument in ipairs(arguments) do
    local path, line = argument:match "^(.+):(%d+)$"
    if not path or M.exists(argument) then
      path, line = argument, nil
    end
    if M.is_directory(path) then
      if line then
        return nil, ('"%s" is a directory: a line belongs to a file'):format(path)
      end
      local files = {}
      walk(M.shown(path), 0, files)
      for _, file in ipairs(files) do
        take(file)
      end
    elseif M.exists(path) then
      take(path, math.tointeger(tonumber(line)))
    else
      return nil, missing(path)
    end
  end
  return list
end

return M
