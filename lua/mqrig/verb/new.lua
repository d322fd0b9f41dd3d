-- mqrig new: a scenario file to begin with.

local core = require "mqrig.core"
local near = require "mqrig.near"
local paths = require "mqrig.paths"

local M = { summary = "write a new scenario file" }

local templates = {}

templates.basic = [[
-- What these scenarios show.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("a message comes back to who subscribed", { tags = { "%s" } }, function(t)
  local c = t:connect()
  c:subscribe("greetings/#", 1)
  c:publish("greetings/world", "hello", { qos = 1 })

  local message = c:next_message { within = 2 }
  expect(message.topic):equals("greetings/world")
  expect(message.payload):equals("hello")
end)

scenario("a send without a connection is refused", { tags = { "%s" } }, function(t)
  local c = t:client()
  expect(c:try_publish("greetings/world", "hello")):equals(mqtt.ERROR_DISCONNECTED)
end)
]]

templates.fault = [[
-- What happens when the connection breaks at a chosen place.

local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("a reset while a PUBACK is due leaves the operation incomplete", { tags = { "%s" } }, function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()

  local c = t:connect { broker = peer }
  local sent = c:send("greetings/world", "hello", { qos = 1 })
  c:wait_sent("PUBLISH")
  c.link:rst()

  expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  expect(c:wait_lost()):equals(-1)
end)
]]

function M.configure(parser)
  parser:description "Writes a scenario file to begin with. A file that is there is left alone, with exit status 2."
  parser:argument("path", "the file; .lua is added if it has no ending")
  parser:option("--template", "what it begins with: " .. table.concat(near.keys(templates), ", ") .. " (default basic)")
    :argname "NAME"
end

local function write(path, content)
  local made, problem = core.make_directory(paths.folder(path))
  if not made then
    return nil, problem
  end
  return paths.write(path, content)
end

function M.run(arguments)
  local name = arguments.template or "basic"
  if not templates[name] then
    local names = near.keys(templates)
    return nil, ('there is no template "%s", %s'):format(name, near.suggest(name, names)
      or "known: " .. table.concat(names, ", "))
  end
  local path = paths.normal(arguments.path)
  if paths.is_directory(path) then
    return nil, ("%s is a directory: name a file in it"):format(path)
  end
  path = paths.base(path):find "%." and path or path .. ".lua"
  if paths.exists(path) then
    return nil, ("%s is there already, it is left as it is"):format(path)
  end
  local tag = paths.base(path):gsub("%.lua$", ""):gsub("[^%w_-]", "-")
  local written, problem = write(path, (templates[name]:gsub("%%s", tag)))
  if not written then
    io.stderr:write(("mqrig: %s cannot be written: %s\n"):format(path, problem))
    return 5
  end
  io.write(("wrote %s; run it with: mqrig run %s\n"):format(path, path))
  return 0
end

return M
