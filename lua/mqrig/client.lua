-- client: a scenario client: the mqtt client with verbs that wait.
--
-- A verb raises unless its result is 0, its try_ form returns the code. What arrives while nobody waits is kept:
-- messages, losses, packets.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local link = require "mqrig.link"
local mqttproxy = require "mqrig.mqttproxy"
local object = require "mqrig.object"
local show = require "mqrig.show"
local simulation = require "mqrig.simulation"
local task = require "mqrig.task"
local websocket = require "mqrig.websocket"

local M = {}

local Client = {}
local computed = {}

local within_known = blame.set "within"
local create_names = "maxinflight maxbuffered maxmessage outrate inrate profile"
local known = blame.set(
  "id name broker url version clean keepalive username password will timeout tls ws within " .. create_names
)
local will_known = blame.set "topic payload qos retain"

--- The sentence for a code that a verb raises.
function M.code_text(code)
  return show.code(code) .. ", " .. core.mqtt.describe(code)
end

local function stats(self)
  return core.client_stats(self.real)
end

function computed:state()
  return stats(self).state
end

function computed:inflight()
  return stats(self).inflight
end

function computed:buffered()
  return stats(self).buffered
end

function computed:unknown_acks()
  return stats(self).unknown_acks
end

link.give(computed, "sys", function(self)
  return self.scenario, core.client_scope(self.real), self.name
end)

object.once(computed, "mqtt", function(self)
  return mqttproxy.new(self, self.real)
end)

function computed:url()
  local options = self.options
  local url = require("mqrig.broker").url(self.scenario, options)
  rawset(self, "url", url)
  return url
end

-- What the mqtt client calls: own books first, then the user's handler.
local function listen(self, real)
  real:onconnect(function(code)
    self.connect_code = code
    task.notify(self)
    if self.user_onconnect then
      self.user_onconnect(code)
    end
  end)
  real:onconnectionlost(function(reason)
    local losses = self.losses
    losses[#losses + 1] = reason
    task.notify(losses)
    if self.user_onconnectionlost then
      self.user_onconnectionlost(reason)
    end
  end)
  real:onmessage(function(message)
    self.inbox:put(message)
    if self.user_onmessage then
      self.user_onmessage(message)
    end
  end)
end

local function connect_options(o)
  local will = o.will and blame.options(o.will, will_known, "will")
  return {
    username = o.username,
    password = o.password,
    keepalive = o.keepalive,
    cleansession = o.clean,
    timeout = o.timeout and blame.duration_ns(o.timeout, "timeout") / 1e9,
    tls = o.tls,
    ws = websocket.options(o.ws),
    version = o.version and tostring(o.version),
    willtopic = will and will.topic,
    willmessage = will and (will.payload or ""),
    willqos = will and will.qos,
    willretain = will and will.retain,
  }
end

-- A connect that has its own timeout is waited for until that is over.
local function connect_within_ns(self, options)
  local timeout = self.options.timeout
  if timeout and options.within == nil then
    return math.max(blame.WITHIN_NS, blame.duration_ns(timeout, "timeout") + 1000000000)
  end
  return blame.within_ns(options, "connect")
end

local function has_connect_code(self)
  return self.connect_code ~= nil
end

--- Connects; returns 0, a CONNACK code, or -1.
function Client:try_connect(options)
  options = blame.options(options, within_known, "connect")
  local within_ns = connect_within_ns(self, options)
  self.connect_code = nil
  self.dialled_at = self.scenario.timeline:last()
  blame.call(self.real.connect, self.real, self.url, self.id, connect_options(self.options))
  if not task.wait_for(self, has_connect_code, within_ns, "the outcome of connect") then
    failure.late(("%s: connect to %s came to nothing"):format(self.name, show.url(self.url)), within_ns)
  end
  return self.connect_code
end

-- How the connection of the last connect ended, as the timeline has it: ": the server's certificate ...", or "".
local function end_text(self)
  local timeline = self.scenario.timeline
  for number = timeline:last(), self.dialled_at + 1, -1 do
    local entry = timeline:entry(number)
    if entry and entry.kind == "end" and entry.who == self.name then
      return ": " .. entry.text
    end
  end
  return ""
end

--- Connects; raises unless the broker accepts.
function Client:connect(options)
  local code = self:try_connect(options)
  if code ~= 0 then
    failure.raise { message = ("%s: connect to %s: %s%s"):format(self.name, show.url(self.url), M.code_text(code),
      code < 0 and end_text(self) or "") }
  end
  return self
end

--- Ends the connection in order; returns 0, or -3 when there was none.
function Client:try_disconnect(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "disconnect"), "disconnect")
  if self.state ~= "connected" then
    return core.mqtt.ERROR_DISCONNECTED
  end
  local pending = { done = false }
  blame.call(self.real.disconnect, self.real, function()
    pending.done = true
    task.notify(pending)
  end)
  if not task.wait_for(pending, function()
    return pending.done
  end, within_ns, "the end of disconnect") then
    failure.late(self.name .. ": disconnect was not done", within_ns)
  end
  return 0
end

function Client:disconnect(options)
  local code = self:try_disconnect(options)
  if code ~= 0 then
    failure.raise { message = ("%s: disconnect: %s"):format(self.name, M.code_text(code)) }
  end
  return code
end

--- Drops everything now.
function Client:close()
  self.real:close()
end

local function has_loss(losses)
  return losses[1] ~= nil
end

--- Waits until an accepted connection is lost; returns the reason, -1 to -4. Each loss is given once.
function Client:wait_lost(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "wait_lost"), "wait_lost")
  if not task.wait_for(self.losses, has_loss, within_ns, "the loss of the connection") then
    failure.late(("%s: the connection was not lost"):format(self.name), within_ns, "it is " .. self.state)
  end
  return table.remove(self.losses, 1)
end

--- One WebSocket frame as it is, right or wrong: c:frame { opcode = "text", payload = "x" }.
function Client:frame(frame)
  blame.call(core.client_frame, self.real, frame)
end

--- Bytes as they are, on the open connection.
function Client:raw(bytes)
  if not blame.call(core.client_raw, self.real, bytes) then
    blame.raise(self.name .. ": raw bytes need an open connection")
  end
end

for _, part in ipairs { require("mqrig.sending"), (require("mqrig.receiving")) } do
  for name, method in pairs(part.methods) do
    Client[name] = method
  end
end

M.meta = object.class("client", Client, computed, "id name",
  "connect_code dialled_at user_onconnect user_onconnectionlost user_onmessage waiters")

M.meta.__close = Client.close

local function create_options(options)
  local create = {}
  for name in create_names:gmatch "%S+" do
    create[name] = options[name]
  end
  return create
end

--- `scenario`: the context that owns it. `id` and `name` are given by it where the options have none.
function M.new(scenario, options, id, name)
  options = blame.options(options, known, "client")
  local real = blame.call(simulation.at, options.name or name, core.mqtt.createclient, create_options(options))
  local self = {
    scenario = scenario,
    options = options,
    real = real,
    id = options.id or id,
    name = options.name or name,
    losses = {},
    sent_at = 0,
    received_at = 0,
  }
  self.inbox = require("mqrig.receiving").inbox()
  setmetatable(self, M.meta)
  core.client_name(real, self.name)
  listen(self, real)
  return self
end

return M
