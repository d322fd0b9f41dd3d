-- rawclient: a connection without a session: bytes out, packets in. For sending what no client would send.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local link = require "mqrig.link"
local object = require "mqrig.object"
local show = require "mqrig.show"
local simulation = require "mqrig.simulation"
local task = require "mqrig.task"
local websocket = require "mqrig.websocket"
local wire = require "mqrig.wire"

local M = {}

local Raw = {}
local computed = {}

local known = blame.set "url broker timeout within name ws tls"
local within_known = blame.set "within"

--- Sends bytes as they are, or a packet: raw:send("PINGREQ"), raw:send("PUBLISH", { topic = "a" }), raw:send { type =
--- "PUBLISH", ... }.
function Raw:send(what, fields)
  local bytes = what
  if type(what) ~= "string" or fields ~= nil or what:match "^%u+$" then
    bytes = wire.bytes(what, fields)
  end
  if not blame.call(self.raw.send, self.raw, bytes) then
    blame.raise(self.name .. ": the connection is not open: " .. (self.why ~= "" and self.why or self.how))
  end
end

--- Sends one frame as it is, right or wrong, where the URL is a WebSocket's.
function Raw:frame(frame)
  blame.call(self.raw.frame, self.raw, frame)
end

-- Decodes the next packet out of what came; nil while it is not whole.
local function next_packet(self)
  local pending = self.pending
  pending.bytes = pending.bytes .. self.raw:take()
  local packet, size = core.decode(pending.bytes, 0, 4)
  if packet then
    pending.bytes = pending.bytes:sub(size + 1)
    return packet
  elseif size ~= "more" then
    failure.raise { message = ("%s: what came is no packet: %s"):format(self.name, size) }
  end
end

local function wanted(self)
  local packet = next_packet(self)
  while packet and self.wanted and packet.type ~= self.wanted do
    packet = next_packet(self)
  end
  self.found = packet
  return packet ~= nil or self.ended
end

--- The next packet of that type that comes, others are passed over; without a type the next one. Fails when the
--- connection ends first.
function Raw:recv(type, options)
  wire.check_type(type, true)
  local within_ns = blame.within_ns(blame.options(options, within_known, "recv"), "recv")
  self.wanted = type
  local there = task.wait_for(self, wanted, within_ns, type or "a packet")
  if not there then
    failure.late(("%s: no %s came"):format(self.name, type or "packet"), within_ns)
  elseif not self.found then
    failure.raise {
      message = ("%s: the connection ended before %s came"):format(self.name, type or "a packet"),
      expected = type or "a packet",
      got = "the end of the connection: " .. self.how,
    }
  end
  return self.found
end

local function gather(self)
  self.pending.bytes = self.pending.bytes .. self.raw:take()
  return #self.pending.bytes >= self.wanted_bytes or self.ended
end

--- The next so many bytes that come, as they are. Fails when the connection ends before.
function Raw:recv_bytes(size, options)
  if math.type(size) ~= "integer" or size < 1 then
    blame.raise("recv_bytes takes a number of bytes, not " .. show.value(size))
  end
  local within_ns = blame.within_ns(blame.options(options, within_known, "recv_bytes"), "recv_bytes")
  self.wanted_bytes = size
  local there = task.wait_for(self, gather, within_ns, ("%d bytes"):format(size))
  local bytes = self.pending.bytes
  if #bytes < size then
    local message = ("%s: %d bytes of %d came"):format(self.name, #bytes, size)
    if not there then
      failure.late(message, within_ns)
    end
    failure.raise { message = message .. ", and then the end of the connection: " .. self.how }
  end
  self.pending.bytes = bytes:sub(size + 1)
  return bytes:sub(1, size)
end

local function is_ended(self)
  self.raw:take()
  return self.ended
end

--- Waits until the other end has closed; returns how: "fin", "reset", ... What came before is dropped.
function Raw:wait_closed(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "wait_closed"), "wait_closed")
  if not task.wait_for(self, is_ended, within_ns, "the end of the connection") then
    failure.late(self.name .. ": the connection was not closed", within_ns)
  end
  return self.how, self.why
end

function Raw:close()
  self.ended, self.how = true, self.how ~= "it is open" and self.how or "closed here"
  self.raw:close()
end

function computed:is_open()
  return self.opened and not self.ended
end

link.give(computed, "sys", function(self)
  return self.scenario, self.raw:scope(), self.name
end)

M.meta = object.class("raw client", Raw, computed, "name url", "found wanted wanted_bytes waiters raw")
M.meta.__close = Raw.close

local function is_settled(self)
  return self.opened or self.ended
end

local function handlers(self)
  return {
    opened = function()
      self.opened, self.how = true, "it is open"
      task.notify(self)
    end,
    input = function()
      task.notify(self)
    end,
    ended = function(how, why)
      self.ended, self.how = true, how
      self.why = why
      task.notify(self)
    end,
  }
end

--- Connects; raises if that fails.
function M.new(scenario, options, name)
  options = blame.options(options, known, "raw_client")
  local within_ns = blame.within_ns(options, "raw_client")
  local timeout_ns = options.timeout and blame.duration_ns(options.timeout, "timeout") or within_ns
  local url = require("mqrig.broker").url(scenario, options)
  local self = setmetatable({
    scenario = scenario,
    name = options.name or name,
    url = url,
    pending = { bytes = "" },
    opened = false,
    ended = false,
    how = "it is not open yet",
    why = "",
  }, M.meta)
  self.raw = blame.call(simulation.at, self.name, core.rawclient, url, timeout_ns, handlers(self), {
    ws = websocket.options(options.ws),
    tls = options.tls,
  })
  scenario:own(self)
  if not task.wait_for(self, is_settled, within_ns, "the connection") then
    failure.late(("%s: no connection to %s"):format(self.name, url), within_ns)
  elseif not self.opened then
    failure.raise { message = ("%s: no connection to %s: %s"):format(self.name, url, self.why or self.how) }
  end
  return self
end

return M
