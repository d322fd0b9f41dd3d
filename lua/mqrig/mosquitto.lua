-- mosquitto: a fresh Eclipse mosquitto as the broker under test: configuration, port, readiness, log, and its end.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local environment = require "mqrig.environment"
local failure = require "mqrig.failure"
local object = require "mqrig.object"
local process = require "mqrig.process"
local task = require "mqrig.task"

local M = {}

local START_WITHIN_NS = 5000000000
local STOP_WITHIN_NS = 3000000000
local PORT_TRIES = 5
local PROBE_NS = 50000000 -- between looks at the port, for configurations whose log does not say "running"

local known = blame.set "conf name websockets"
local restart_known = blame.set "persist"

--- The program's path, or nil and a sentence.
function M.find()
  local path = environment.find_program "mosquitto"
  if path then
    return path
  end
  return nil, environment.NO_MOSQUITTO
end

local function first_match(path, pattern)
  local file = io.open(path, "r")
  local text = file and file:read "a" or ""
  if file then
    file:close()
  end
  return text:match(pattern)
end

-- Started by root, mosquitto changes to another user, which takes back the kernel's promise to end it with its
-- parent: so it is told to stay who it
-- is. Started by anybody else, it stays so anyway.
local function user_line()
  local uid = first_match("/proc/self/status", "\nUid:%s+%d+%s+(%d+)")
  local name = uid and first_match("/etc/passwd", "([^\n:]+):[^\n:]*:" .. uid .. ":")
  return name and "user " .. name or "user root"
end

local function conf_text(conf)
  if conf == nil or type(conf) == "string" then
    return conf or ""
  elseif type(conf) ~= "table" then
    blame.raise(("mosquitto: conf is lines of mosquitto.conf in a text or a list, not a %s"):format(type(conf)))
  end
  return table.concat(conf, "\n")
end

--- The configuration for a port.
function M.configuration(port, directory, conf, ws_port)
  return table.concat({
    user_line(),
    ("listener %d 127.0.0.1"):format(port),
    ws_port and ("listener %d 127.0.0.1\nprotocol websockets"):format(ws_port) or "",
    "allow_anonymous true",
    "set_tcp_nodelay true",
    "persistence true",
    "persistence_location " .. directory .. "/",
    "autosave_interval 0",
    "log_dest stderr",
    "log_type error",
    "log_type warning",
    "log_type notice",
    "log_type information",
    conf_text(conf),
    "",
  }, "\n")
end

local Mosquitto = {}
local computed = {}

local function config_path(self)
  return self.directory .. "/mosquitto.conf"
end

local function write_configuration(self)
  local file, why = io.open(config_path(self), "w")
  if not file then
    failure.raise { message = "mosquitto's configuration cannot be written: " .. why, environment = true }
  end
  file:write(M.configuration(self.port, self.directory, self.conf, self.ws_port))
  file:close()
end

-- Looks whether the port takes connections; what the log says comes first nearly always.
local function probe(self)
  local raw
  raw = core.rawclient(self.url, PROBE_NS, {
    opened = function()
      self.running = true
      task.notify(self)
    end,
    input = function() end,
    ended = function() end,
  })
  task.wait_for(self, self.is_settled, PROBE_NS, "mosquitto's port")
  raw:close()
end

local function launch(self)
  self.running = false
  local run = process.new(self.scenario, { self.path, "-c", config_path(self), name = self.name }, nil, function(text)
    if text:find " running" then
      self.running = true
    end
    task.notify(self)
  end)
  self.process = run
  function self.is_settled()
    return self.running or run.over
  end
  local due_ns = core.now() + START_WITHIN_NS
  while not task.wait_for(self, self.is_settled, PROBE_NS, "mosquitto's start") and core.now() < due_ns do
    probe(self)
  end
  return self.running and not run.over
end

-- What became of it, and the first thing that it complained about.
local function ended_text(self)
  local run = self.process
  local how = not run.over and ("it was not ready within %g s"):format(START_WITHIN_NS / 1e9)
    or run.by_signal and "it was killed by signal " .. run.by_signal
    or ("it ended with status %d"):format(run.status)
  local why = run.output:match "Error: ([^\n]+)"
  return why and ("%s: %s"):format(how, why) or how
end

-- Another process may take the port between finding it and using it: then another port.
local function first_launch(self)
  for _ = 1, PORT_TRIES do
    self.port = core.free_port()
    self.url = ("tcp://127.0.0.1:%d"):format(self.port)
    if self.websockets then
      self.ws_port = core.free_port()
      self.ws_url = ("ws://127.0.0.1:%d/mqtt"):format(self.ws_port)
    end
    write_configuration(self)
    if launch(self) then
      return
    end
    local said = self.process.output
    local taken = said:find "Address already in use" or said:find "Unable to create websockets listener"
    self.process:kill()
    if not taken then
      break
    end
  end
  failure.raise {
    message = ("mosquitto did not start: %s"):format(ended_text(self)),
    environment = self.conf == nil or nil,
  }
end

local function end_with(self, signal)
  local run = self.process
  if not run.over then
    run:signal "CONT" -- a stopped process does not see SIGTERM
    run:signal(signal)
    run:wait { within = STOP_WITHIN_NS / 1e9 }
  end
end

--- Ends it in order: what it persists is on disk afterwards.
function Mosquitto:stop()
  end_with(self, "TERM")
end

--- Ends it at once.
function Mosquitto:kill()
  end_with(self, "KILL")
end

--- Starts it again at the same port.
function Mosquitto:start()
  if not self.process.over then
    blame.raise(self.name .. " runs already")
  elseif not launch(self) then
    failure.raise { message = ("mosquitto did not start again: %s"):format(ended_text(self)) }
  end
end

--- stop and start; persist = false: sessions and retained messages are lost.
function Mosquitto:restart(options)
  options = blame.options(options, restart_known, "restart")
  self:stop()
  if options.persist == false then
    os.remove(self.directory .. "/mosquitto.db")
  end
  self:start()
end

function Mosquitto:pause()
  self.process:pause()
end

function Mosquitto:resume()
  self.process:resume()
end

--- What it logged since it was started last.
function Mosquitto:log()
  return self.process.output
end

function Mosquitto:close()
  if rawget(self, "process") then
    self.process:close()
  end
  if self.directory then
    core.remove_tree(self.directory)
    self.directory = nil
  end
end

function computed:pid()
  return self.process.pid
end

local private = "waiters directory process running conf is_settled websockets ws_port"
M.meta = object.class("mosquitto", Mosquitto, computed, "url ws_url port name", private)
M.meta.__close = Mosquitto.close

--- Starts one and waits until it is ready.
function M.new(scenario, options, name)
  options = blame.options(options, known, "t:mosquitto")
  local path, sentence = M.find()
  if not path then
    failure.raise { message = sentence, environment = true }
  end
  local self = setmetatable({
    scenario = scenario,
    name = options.name or name,
    path = path,
    conf = options.conf,
    websockets = options.websockets,
    directory = core.temporary_directory(),
    running = false,
  }, M.meta)
  scenario:own(self)
  first_launch(self)
  return self
end

return M
