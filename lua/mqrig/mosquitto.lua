-- mosquitto: a fresh Eclipse mosquitto as the broker under test: configuration, port, readiness, log, and its end.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local environment = require "mqrig.environment"
local failure = require "mqrig.failure"
local object = require "mqrig.object"
local paths = require "mqrig.paths"
local process = require "mqrig.process"
local task = require "mqrig.task"
local transport = require "mqrig.transport"

local M = {}

local START_WITHIN_NS = 5000000000
local STOP_WITHIN_NS = 3000000000
local PORT_TRIES = 5
local PROBE_NS = 50000000 -- between looks at the port, for configurations whose log does not say "running"

local known = blame.set "conf name websockets transport tls"
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

-- Options of TLS as mosquitto has them: files by option of ours, and what goes with them.
local tls_files = { { "cert", "certfile" }, { "key", "keyfile" }, { "ca", "cafile" }, { "crl", "crlfile" } }
local tls_known = blame.set "cert key ca crl psk psk_identity min_version"

local function write_file(path, contents)
  local written, why = paths.write(path, contents)
  if not written then
    failure.raise { message = "a file for mosquitto cannot be written: " .. why, environment = true }
  end
  return path
end

-- PEM as it is goes into a file.
local function file_of(directory, name, given)
  return given:find("-----BEGIN", 1, true) and write_file(("%s/%s.pem"):format(directory, name), given) or given
end

local function tls_lines(directory, tls)
  local lines = {}
  tls = blame.options(tls, tls_known, "t:mosquitto's tls")
  for _, names in ipairs(tls_files) do
    if tls[names[1]] then
      lines[#lines + 1] = names[2] .. " " .. file_of(directory, names[1], tls[names[1]])
    end
  end
  if tls.ca then
    lines[#lines + 1] = "require_certificate true"
  end
  if tls.psk then
    write_file(directory .. "/psk", ("%s:%s\n"):format(tls.psk_identity, tls.psk))
    lines[#lines + 1] = ("psk_hint mqrig\npsk_file %s/psk"):format(directory)
  end
  if tls.min_version then
    lines[#lines + 1] = "tls_version tlsv" .. tls.min_version
  end
  return lines
end

-- What it listens at, by URL.
local function listener_lines(directory, url, tls)
  local scheme, rest = url:match "^(%a+)://(.*)$"
  local lines = { scheme == "unix" and "listener 0 " .. rest or ("listener %s 127.0.0.1"):format(rest:match ":(%d+)") }
  if scheme:find "^ws" then
    lines[2] = "protocol websockets"
    -- Version 2.0.11 does not start with listeners for WebSockets alone.
    table.insert(lines, 1, ("listener 0 %s/unused"):format(directory))
  end
  for _, line in ipairs(tls and tls_lines(directory, tls) or {}) do
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

--- The configuration for a URL.
function M.configuration(url, directory, conf, ws_port, tls)
  return table.concat({
    user_line(),
    listener_lines(directory, url, tls),
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
  write_file(config_path(self), M.configuration(self.url, self.directory, self.conf, self.ws_port, self.tls))
end

-- Looks whether the port, the one opened last, takes connections; what the log says comes first nearly always.
local function probe(self)
  local raw
  raw = core.rawclient(self.probe_url, PROBE_NS, {
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
    self.url = self.url_form:gsub(":0$", (":%d"):format(self.port))
    self.probe_url = self.url_form:find "^unix" and self.url or ("tcp://127.0.0.1:%d"):format(self.port)
    if self.url:find "^ws" then
      self.url = self.url .. "/mqtt"
    end
    if self.websockets then
      self.ws_port = core.free_port()
      self.ws_url = ("ws://127.0.0.1:%d/mqtt"):format(self.ws_port)
      self.probe_url = ("tcp://127.0.0.1:%d"):format(self.ws_port)
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

local private = "waiters directory process running conf is_settled websockets ws_port url_form probe_url tls"
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
  self.url_form, self.tls = transport.listen(scenario, options, "t:mosquitto")
  scenario:own(self)
  first_launch(self)
  return self
end

return M
