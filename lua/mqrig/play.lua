-- play: a script of what a client is to send and what it is sent, run against connections of a peer.
--
-- A line is one connection that a play has taken: what came on it and was not looked at yet. A play takes the
-- connection that is up, or the next, and another for each further CONNECT that it expects. A line belongs to its
-- connection, so that a second play goes on where the first ended.

local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local object = require "mqrig.object"
local playscript = require "mqrig.playscript"
local playstep = require "mqrig.playstep"
local task = require "mqrig.task"

local M = {}

local Play = {}
local computed = {}

-- Lines.

local function new_line(conn)
  return { conn = conn, items = {}, first = 1, last = 0, connected = false, over = false }
end

local function push(line, item)
  line.last = line.last + 1
  line.items[line.last] = item
  if line.play then
    task.notify(line.play)
  end
end

--- What came on a connection that a play took: a packet, or bytes that are none.
function M.came(line, what)
  if type(what) == "table" and what.type == "CONNECT" then
    rawset(line.conn, "client_id", what.client_id)
  end
  push(line, { got = what })
end

function M.ended(line, why)
  line.over = why
  push(line, { ended = why })
end

-- Running.

local function body(self)
  for i, step in ipairs(self.steps) do
    self.step = i
    if step.delay_ns then
      task.sleep(step.delay_ns)
    end
    playstep[step.kind](self, step)
  end
  self.finished = true
end

local function is_done(self)
  return self.task.done
end

local within_known = blame.set "within"

--- Waits until all of its steps are done.
function Play:wait(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "wait"), "wait")
  if not self.task:wait_done(within_ns) then
    local step = self.steps[self.step]
    failure.late(("%s did not end"):format(self.name), within_ns, ("it stands at step %d of %d, %s"):format(step.number,
      #self.steps, step.text))
  end
end

--- Ends it where it stands; its connections stay as they are.
function Play:stop()
  self.task:cancel()
end

function computed:done()
  return is_done(self)
end

M.meta = object.class("play", Play, computed, "name step", "waiters line last watched finished task")

--- When the scenario's function has returned: waits as long as its steps do.
function M.finish(list)
  for _, play in ipairs(list) do
    if not is_done(play) then
      local step = play.steps[play.step]
      task.wait_for(play.task, function(t)
        return t.done
      end, math.maxinteger // 4, ("the end of %s, step %d: %s"):format(play.name, step.number, step.text))
    end
  end
end

local function take_conn(self, conn)
  local line = rawget(conn, "line") or new_line(conn)
  rawset(conn, "line", line)
  line.play = self
  conn.conn:take(not self.default)
  self.lines[#self.lines + 1] = line
  self.wanted = self.wanted - 1
  if self.task then
    task.notify(self)
  end
end

--- A connection was accepted: the first of the plays that needs one has it.
function M.accepted(plays, conn)
  for _, play in ipairs(plays) do
    if play.wanted > 0 and not (play.task and is_done(play)) then
      take_conn(play, conn)
      return
    end
  end
end

-- The connection that is up, unless another play has it.
local function join(self, conn)
  local line = conn and rawget(conn, "line")
  if not conn or (line and line.play and not is_done(line.play)) then
    return
  end
  take_conn(self, conn)
  self.lines[#self.lines].connected = true
end

--- Starts a play on a peer: it runs beside the scenario.
function M.new(peer, script)
  local steps, options = playscript.parse(script)
  local scenario = peer.scenario
  local self = setmetatable({
    name = options.name or "the play of " .. peer.name,
    peer = peer,
    steps = steps,
    step = 1,
    lines = {},
    at = 0,
    default = options.default == true,
  }, M.meta)
  self.file, self.file_line = blame.where()
  local connects, joins = playscript.connections(steps)
  rawset(self, "wanted", connects + (joins and 1 or 0))
  if joins then
    join(self, peer:conn())
  end
  peer.plays[#peer.plays + 1] = self
  scenario.plays[#scenario.plays + 1] = self
  self.task = scenario.scheduler:spawn(body, self)
  return self
end

return M
