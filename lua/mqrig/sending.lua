-- sending: the verbs of a scenario client that hand something to the broker: publish, send, subscribe, unsubscribe.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local object = require "mqrig.object"
local show = require "mqrig.show"
local task = require "mqrig.task"

local M = {}

local DISCONNECTED = -3

local send_known = blame.set "qos retain"
local publish_known = blame.set "qos retain within"
local within_known = blame.set "within"
local none = {}

-- Tokens. One is what client_publish calls when the result is there: no closure for each send.

local Token = {}

local function has_code(token)
  return rawget(token, "code") ~= nil
end

local function token_within(token, within_ns)
  if not task.wait_for(token, has_code, within_ns, "the result of a send") then
    failure.late(("%s: no result of the PUBLISH%s"):format(token.client.name,
      token.packet_id and (" with id %d"):format(token.packet_id) or ""), within_ns)
  end
  return token.code
end

--- Waits for the result code.
function Token:wait(options)
  return token_within(self, blame.within_ns(blame.options(options, within_known, "wait"), "wait"))
end

M.token_meta = object.class("token", Token, nil, "code packet_id", "waiters")

function M.token_meta.__call(token, code)
  rawset(token, "code", code)
  if rawget(token, "waiters") then
    task.notify(token)
  end
end

local Sending = {}
M.methods = Sending

local function wrong_type(value, what)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then
    return ("the %s is a string, not %s"):format(what, kind == "nil" and kind or "a " .. kind)
  end
end

local function send(self, topic, payload, options)
  local token = setmetatable({ client = self }, M.token_meta)
  local real = self.real
  if not real:isconnected() then
    token.code = DISCONNECTED
    return token
  end
  local ok, id = pcall(core.client_publish, real, topic, payload or "", options.qos or 0, options.retain, token)
  if not ok then
    blame.raise(wrong_type(topic, "topic") or wrong_type(payload or "", "payload") or blame.strip(tostring(id)))
  end
  token.packet_id = id
  return token
end

--- Sends and returns a token at once.
function Sending:send(topic, payload, options)
  return send(self, topic, payload, options and blame.options(options, send_known, "send") or none)
end

--- Sends and waits; returns the code.
function Sending:try_publish(topic, payload, options)
  options = blame.options(options, publish_known, "publish")
  local within_ns = blame.within_ns(options, "publish")
  return token_within(send(self, topic, payload, options), within_ns)
end

local function code_text(code)
  return show.code(code) .. ", " .. core.mqtt.describe(code)
end

--- Sends and waits; raises unless the result is 0.
function Sending:publish(topic, payload, options)
  local code = self:try_publish(topic, payload, options)
  if code ~= 0 then
    failure.raise {
      message = ("%s: publish to %s: %s"):format(self.name, show.text(topic), code_text(code)),
      expected = show.code(0),
      got = show.code(code),
    }
  end
  return code
end

-- Runs start(done), which returns 0 or an error code, and waits for what `done` is called with.
local function operate(self, what, within_ns, start)
  local pending = { done = false }
  local code = start(function(result)
    pending.done, pending.result = true, result
    task.notify(pending)
  end)
  if code ~= 0 then
    return code
  elseif not task.wait_for(pending, function()
    return pending.done
  end, within_ns, "the answer to " .. what) then
    failure.late(("%s: no answer to %s"):format(self.name, what), within_ns)
  end
  return pending.result
end

--- Returns the granted QoS or 128, a list for a list of filters, or a negative code.
function Sending:try_subscribe(filters, qos, options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "subscribe"), "subscribe")
  if not self.real:isconnected() then
    return DISCONNECTED
  end
  return operate(self, "subscribe", within_ns, function(done)
    return blame.call(self.real.subscribe, self.real, filters, qos or 0, done)
  end)
end

local function filters_text(filters)
  return type(filters) == "table" and show.value(filters) or show.text(tostring(filters))
end

local function refused(granted)
  if type(granted) ~= "table" then
    return (granted < 0 or granted > 2) and granted
  end
  for _, mode in ipairs(granted) do
    if mode > 2 then
      return mode
    end
  end
end

--- Subscribes; returns what was granted, raises for a refusal.
function Sending:subscribe(filters, qos, options)
  local granted = self:try_subscribe(filters, qos, options)
  local code = refused(granted)
  if code then
    local text = code < 0 and code_text(code) or ("refused with %d"):format(code)
    failure.raise { message = ("%s: subscribe to %s: %s"):format(self.name, filters_text(filters), text) }
  end
  return granted
end

--- Returns 0 or a negative code.
function Sending:try_unsubscribe(filters, options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "unsubscribe"), "unsubscribe")
  if not self.real:isconnected() then
    return DISCONNECTED
  end
  return operate(self, "unsubscribe", within_ns, function(done)
    return blame.call(self.real.unsubscribe, self.real, filters, done)
  end)
end

function Sending:unsubscribe(filters, options)
  local code = self:try_unsubscribe(filters, options)
  if code ~= 0 then
    local what = filters_text(filters)
    failure.raise { message = ("%s: unsubscribe from %s: %s"):format(self.name, what, code_text(code)) }
  end
  return code
end

return M
