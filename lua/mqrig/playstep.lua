-- playstep: what each kind of step of a play does: playstep[kind](play, step). It returns when the step is done, and
-- raises a failure when it cannot be.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local match = require "mqrig.match"
local playscript = require "mqrig.playscript"
local task = require "mqrig.task"
local wire = require "mqrig.wire"

local M = {}

local function has_item(line)
  return line.first <= line.last
end

local function pop(line)
  local item = line.items[line.first]
  line.items[line.first] = nil
  line.first = line.first + 1
  return item
end

-- Failing.

local function fail(self, step, message, expected, got)
  failure.raise {
    message = ("%s, step %d of %d: %s"):format(self.name, step.number, #self.steps, message),
    expected = expected,
    got = got,
    file = self.file,
    line = self.file_line,
  }
end

local function seconds(ns)
  return ("%g s"):format(ns / 1e9)
end

local function nothing_came(self, step, expected, within_ns, near)
  local got = near and match.got_text(near) or "nothing"
  fail(self, step, "what was expected did not come within " .. seconds(within_ns), expected, got)
end

local function another_came(self, step, got, wanted)
  local expected, came = match.texts(got, wanted)
  fail(self, step, "another packet came", expected, came)
end

local function connection_ended(self, step, expected, why)
  fail(self, step, "the connection ended", expected, "the end of the connection: " .. why)
end

-- Waiting.

-- Suspends the play until ready(self); false at due_ns.
local function await(self, ready, due_ns, step)
  local left_ns = math.max(0, due_ns - core.now())
  return task.wait_for(self, ready, left_ns, ("step %d of %s: %s"):format(step.number, self.name, step.text))
end

local function next_is_there(self)
  return self.lines[self.at + 1] ~= nil
end

local function line_has_item(self)
  return has_item(self.line)
end

-- Goes to the next connection; waits for it.
local function next_line(self, step, due_ns, within_ns)
  if not await(self, next_is_there, due_ns, step) then
    fail(self, step, "no connection came within " .. seconds(within_ns), step.text, "no connection")
  end
  self.at = self.at + 1
  self.line = self.lines[self.at]
end

-- The line on which this step happens.
local function line_for(self, step, due_ns)
  local line = self.line
  if not line or (playscript.is_connect(step) and (line.connected or line.over)) then
    next_line(self, step, due_ns, step.within_ns or blame.WITHIN_NS)
  end
  return self.line
end

-- The next thing that came; nil at due_ns.
local function take(self, step, due_ns)
  if await(self, line_has_item, due_ns, step) then
    return pop(self.line)
  end
end

local function keep(self, packet)
  self.last = packet
  if packet.type == "CONNECT" then
    self.line.connected = true
  end
end

-- Steps.

function M.wait() end

function M.call(self, step)
  step.fn(self.line and self.line.conn, self.last)
end

-- Takes what comes until accept(packet) is true ("more": it fits, and there is more to come). What does not fit fails
-- the play, unless the broker has it. expected(): what is still to come, as text.
local function take_until(self, step, expected, accept, mismatch)
  local due_ns = core.now() + step.within_ns
  line_for(self, step, due_ns)
  local near
  while true do
    local item = take(self, step, due_ns)
    if not item then
      nothing_came(self, step, expected(), step.within_ns, near)
    elseif item.ended then
      connection_ended(self, step, expected(), item.ended)
    end
    local fits = accept(item.got)
    if fits == true then
      return
    elseif not fits and not self.default then
      mismatch(item.got)
    elseif not fits then
      near = item.got
    end
  end
end

function M.expect(self, step)
  take_until(self, step, function()
    return match.text(step.wanted)
  end, function(got)
    local good = match.packet(got, step.wanted)
    if good and type(got) == "table" then
      keep(self, got)
    end
    return good
  end, function(got)
    another_came(self, step, got, step.wanted)
  end)
end

-- The expectations that nothing has met yet.
local function open_text(list, taken)
  local texts = {}
  for i, wanted in ipairs(list) do
    texts[#texts + 1] = not taken[i] and match.text(wanted) or nil
  end
  return table.concat(texts, " | ")
end

function M.any_order(self, step)
  local taken, got = {}, {}
  take_until(self, step, function()
    return open_text(step.list, taken)
  end, function(packet)
    if type(packet) ~= "table" then
      return false
    end
    got[#got + 1] = packet
    if not match.assign(got, step.list, taken) then
      got[#got] = nil
      return false
    end
    keep(self, packet)
    return #got == #step.list or "more"
  end, function(packet)
    fail(self, step, "another packet came", open_text(step.list, taken), match.got_text(packet))
  end)
end

local hows = { fin = "^closed by the other end", rst = "^reset by the other end", close = "" }

function M.ended(self, step)
  local due_ns = core.now() + step.within_ns
  line_for(self, step, due_ns)
  local expected = step.how == "close" and "the end of the connection" or "the end of the connection: " .. step.how
  repeat
    local item = take(self, step, due_ns)
    if not item then
      nothing_came(self, step, expected, step.within_ns)
    elseif item.got and not self.default then
      fail(self, step, "a packet came", expected, match.got_text(item.got))
    elseif item.ended and not item.ended:find(hows[step.how]) then
      connection_ended(self, step, expected, item.ended)
    end
  until item.ended
end

-- The first thing on any line from here on that is not to come.
local function forbidden(self)
  local wanted = self.watched
  for n = math.max(self.at, 1), #self.lines do
    local line = self.lines[n]
    for i = line.first, line.last do
      local got = line.items[i].got
      if got and match.packet(got, wanted) then
        return got
      end
    end
  end
end

function M.never(self, step)
  self.watched = step.wanted
  if await(self, forbidden, core.now() + step.for_ns, step) then
    local got = forbidden(self)
    fail(self, step, "what was never to come came", "no " .. match.text(step.wanted), match.got_text(got))
  end
  self.watched = nil
end

-- An acknowledgement answers what came last, unless it says what.
local answers = blame.set "PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK"

local function granted(subscriptions)
  local codes = {}
  for i, subscription in ipairs(subscriptions or {}) do
    codes[i] = subscription.qos
  end
  return codes
end

local function filled_in(self, step)
  local last = self.last or {}
  local fields = {}
  for name, value in next, step.fields do
    if type(value) == "function" then
      value = value(last)
    end
    fields[name] = value
  end
  if answers[step.type] and fields.packet_id == nil then
    fields.packet_id = last.packet_id
  end
  if step.type == "SUBACK" and fields.reason_codes == nil and last.type == "SUBSCRIBE" then
    fields.reason_codes = granted(last.subscriptions)
  end
  return fields
end

local function open_line(self, step)
  local line = line_for(self, step, core.now() + step.within_ns)
  if line.over then
    fail(self, step, "the connection has ended: " .. line.over, step.text, "the end of the connection")
  end
  return line
end

local function send_pieces(self, step, line, bytes)
  for at = 1, #bytes, step.split do
    if line.over then
      fail(self, step, "the connection has ended: " .. line.over, step.text, "the end of the connection")
    end
    line.conn:send_raw(bytes:sub(at, at + step.split - 1))
    task.sleep(step.gap_ns)
  end
end

function M.send(self, step)
  local line = open_line(self, step)
  local bytes = step.bytes or wire.bytes(step.type, filled_in(self, step))
  if step.split then
    send_pieces(self, step, line, bytes)
  else
    line.conn:send_raw(bytes)
  end
end

function M.act(self, step)
  local line = open_line(self, step)
  line.conn[step.verb](line.conn)
end

return M
