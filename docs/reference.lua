-- Makes docs/reference.md from lua/mqrig/api.d.lua: lua5.4 docs/reference.lua > docs/reference.md

local M = {}

local SOURCE = "lua/mqrig/api.d.lua"

-- What scenario files call the things whose names in the stub are those of classes.
local receivers = { client = "c", raw_client = "raw", token = "token", t = "t", peer = "peer", connection = "conn",
  proxy = "proxy", proxied_connection = "proxy:conn(n)" }

local function new_class(name, block)
  return { name = name, text = block.text, fields = block.fields, functions = {} }
end

local function parse_tag(block, tag, rest)
  if tag == "class" then
    block.class = rest
  elseif tag == "field" then
    local name, kind, text = rest:match "^(%S+)%s+(%S+)%s*(.*)$"
    block.fields[#block.fields + 1] = { name = name, kind = kind, text = text }
  elseif tag == "param" then
    block.params[#block.params + 1] = rest
  elseif tag == "return" then
    block.returns[#block.returns + 1] = rest
  elseif tag == "alias" then
    block.alias = rest
  end
end

local function new_block()
  return { text = {}, fields = {}, params = {}, returns = {} }
end

--- The stub as { aliases = {}, chapters = { { title=, classes = { { name=, text=, fields=, functions= } } } } }.
function M.parse(source)
  local api = { aliases = {}, chapters = {}, classes = {} }
  local chapter, block = { title = "Types", classes = {} }, new_block()
  local function close()
    if block.class then
      local class = new_class(block.class, block)
      api.classes[block.class] = class
      chapter.classes[#chapter.classes + 1] = class
    elseif block.alias then
      api.aliases[#api.aliases + 1] = block.alias
    end
    block = new_block()
  end
  for line in (source .. "\n"):gmatch "([^\n]*)\n" do
    local title = line:match "^%-%-# (.*)$"
    local tag, rest = line:match "^%-%-%-@(%a+)%s*(.*)$"
    local text = line == "---" and "" or line:match "^%-%-%- (.*)$"
    local owner, dot, name, arguments = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$"
    if title then
      chapter = { title = title, classes = {} }
      api.chapters[#api.chapters + 1] = chapter
      if title == "Scenarios" then
        block.class = "mqrig"
        close()
      end
    elseif tag then
      parse_tag(block, tag, rest)
    elseif text then
      block.text[#block.text + 1] = text
    elseif owner then
      local class = api.classes[owner == "rig" and "mqrig" or owner]
      class.functions[#class.functions + 1] = { name = name, dot = dot, arguments = arguments, block = block }
      block = new_block()
    else
      close()
    end
  end
  return api
end

local function signature(class, f)
  if class.name == "mqrig" then
    return ("%s(%s)"):format(f.name, f.arguments)
  elseif class.name == "expectation" then
    return ("expect(value):%s(%s)"):format(f.name, f.arguments)
  elseif class.name == "rule_sentence" then
    return (":%s(%s)"):format(f.name, f.arguments)
  elseif class.name == "mqtt_client" then
    return ("client:%s(%s)"):format(f.name, f.arguments)
  elseif class.name == "mqtt_message" then
    return ("message:%s(%s)"):format(f.name, f.arguments)
  end
  return ("%s%s%s(%s)"):format(receivers[class.name] or class.name, f.dot, f.name, f.arguments)
end

local function returned(f)
  local kinds = {}
  for _, text in ipairs(f.block.returns) do
    kinds[#kinds + 1] = text:match "^(%S+)"
  end
  return #kinds > 0 and " → " .. table.concat(kinds, ", ") or ""
end

local function write_function(out, class, f)
  out[#out + 1] = ("#### `%s`%s\n"):format(signature(class, f), returned(f):gsub("|", " or "))
  out[#out + 1] = table.concat(f.block.text, "\n") .. "\n"
end

local titles = {
  mqtt = "mqtt", mqtt_client = "An mqtt client", mqtt_message = "An mqtt message", mqrig = "scenario and expect",
  t = "The context, t", task = "A task", client = "A scenario client", token = "A token", raw_client = "A raw client",
  broker = "A broker", peer = "A scripted broker", play = "A play", run = "A run of a sweep", connection = "A connection of a peer", process = "A process",
  link = "A link", place = "The beginning of a rule", rule_sentence = "A rule in the making", rule = "A rule",
  fault = "fault", expectation = "Verbs", packet = "A packet", message = "A message",
}

local function write_class(out, class)
  out[#out + 1] = ("### %s\n"):format(titles[class.name] or class.name)
  if #class.text > 0 then
    out[#out + 1] = table.concat(class.text, "\n") .. "\n"
  end
  if #class.fields > 0 then
    out[#out + 1] = "| field | type | |\n|---|---|---|"
    for _, field in ipairs(class.fields) do
      out[#out + 1] = ("| `%s` | %s | %s |"):format(field.name, field.kind:gsub('"', ""):gsub("|", " or "), field.text)
    end
    out[#out + 1] = ""
  end
  for _, f in ipairs(class.functions) do
    write_function(out, class, f)
  end
end

--- The page.
function M.page(api)
  local out = {
    "# mqrig: reference of scenario files\n",
    "Made from `lua/mqrig/api.d.lua` by `docs/reference.lua`; editors that know LuaCATS read that file itself.\n",
    'A scenario file begins with `local rig = require "mqrig"`; `rig.mqtt`, `rig.scenario`, `rig.expect`, `rig.fault`',
    "and `rig.version` are what it has. Calls with a wrong argument, an unknown option or an unknown name raise an error",
    "at the line that made them, and say which known name is near.\n",
    "A duration is a number of seconds or a text with a unit: `0.25`, `\"250ms\"`, `\"2m\"` (ns us ms s m h d).",
  }
  for _, chapter in ipairs(api.chapters) do
    out[#out + 1] = ("\n## %s\n"):format(chapter.title)
    for _, class in ipairs(chapter.classes) do
      write_class(out, class)
    end
  end
  return (table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("\n+$", "\n"))
end

--- The page made from the stub in this directory.
function M.generate()
  local file = assert(io.open(SOURCE, "rb"))
  local source = file:read "a"
  file:close()
  return M.page(M.parse(source)), M.parse(source)
end

if not pcall(debug.getlocal, 4, 1) then -- run, not required
  io.write((M.generate()))
end

return M
