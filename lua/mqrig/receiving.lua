-- receiving: the verbs of a scenario client that look at what came: messages, and packets on the wire.

local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local show = require "mqrig.show"
local task = require "mqrig.task"
local wire = require "mqrig.wire"

local M = {}

local within_known = blame.set "within"
local none_known = blame.set "for_"
local NONE_NS = 200000000 -- how long expect_no_message looks unless told otherwise

-- Messages that nobody has taken yet, oldest first.
local Inbox = {}
Inbox.__index = Inbox

function M.inbox()
  return setmetatable({ first = 1, last = 0 }, Inbox)
end

--- `m`: what onmessage is given.
function Inbox:put(m)
  self.last = self.last + 1
  self[self.last] = {
    topic = m.topic,
    payload = m.message,
    qos = m.qos,
    retain = m.retain ~= 0,
    dup = m.dup ~= 0,
    packet_id = m.packet_id,
    properties = m.properties,
  }
  if self.waiters then
    task.notify(self)
  end
end

local function has_message(inbox)
  return inbox.first <= inbox.last
end

function Inbox:take()
  local message = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  return message
end

local Receiving = {}
M.methods = Receiving

--- Takes the oldest message; waits for one if there is none.
function Receiving:next_message(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "next_message"), "next_message")
  if not task.wait_for(self.inbox, has_message, within_ns, "a message") then
    failure.late(self.name .. ": no message came", within_ns)
  end
  return self.inbox:take()
end

--- The messages that came and were not taken by next_message yet, oldest first. Does not take them.
function Receiving:messages()
  local inbox = self.inbox
  return table.move(inbox, inbox.first, inbox.last, 1, {})
end

--- Fails if a message is there or comes within `for_`.
function Receiving:expect_no_message(options)
  options = blame.options(options, none_known, "expect_no_message")
  local for_ns = options.for_ == nil and NONE_NS or blame.duration_ns(options.for_, "expect_no_message: for_")
  if task.wait_for(self.inbox, has_message, for_ns, "the end of expect_no_message") then
    local message = self.inbox[self.inbox.first]
    failure.raise { message = self.name .. ": a message came", expected = "no message", got = show.value(message) }
  end
end

local function wait_packet(self, direction, cursor, verb, type, options)
  local within_ns = blame.within_ns(options, verb)
  local fields = wire.fields(options)
  local what = wire.text(type, fields)
  local real_who = require("mqrig.core").client_who(self.real)
  local packet, number = wire.wait(self.scenario, real_who, direction, self[cursor], type, fields, within_ns, what)
  if not packet then
    failure.late(("%s: no %s was %s"):format(self.name, what, direction == "up" and "sent" or "received"), within_ns,
      wire.near_miss(self.scenario, real_who, direction, self[cursor], type, fields))
  end
  self[cursor] = number
  return packet
end

--- Waits for a packet from this client on the wire; looks on from the one returned last.
function Receiving:wait_sent(type, options)
  return wait_packet(self, "up", "sent_at", "wait_sent", type, options)
end

--- Waits for a packet to this client on the wire; looks on from the one returned last.
function Receiving:wait_received(type, options)
  return wait_packet(self, "down", "received_at", "wait_received", type, options)
end

return M
