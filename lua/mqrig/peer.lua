-- peer: a listening broker inside the program: the scripted broker of t:peer, and the built-in broker under test.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local link = require "mqrig.link"
local log = require "mqrig.log"
local object = require "mqrig.object"
local pki = require "mqrig.pki"
local play = require "mqrig.play"
local transport = require "mqrig.transport"
local websocket = require "mqrig.websocket"
local simulation = require "mqrig.simulation"
local wire = require "mqrig.wire"

local M = {}

local known = blame.set(
  "url transport name queued_max message_max inflight_max backlog accept_max send_buffer receive_buffer ws tls"
)

-- One connection of a peer.

local Conn = {}
local conn_computed = {}

--- Sends a packet to it: conn:send("PUBACK", { packet_id = 1 }).
function Conn:send(type, fields)
  if not self.conn:send(wire.bytes(type, fields)) then
    blame.raise(("%s: connection %d is not open"):format(self.peer.name, self.number))
  end
end

--- Sends bytes as they are.
function Conn:send_raw(bytes)
  if type(bytes) ~= "string" then
    blame.raise(("send_raw takes bytes in a string, not a %s"):format(type(bytes)))
  elseif not blame.call(self.conn.send, self.conn, bytes) then
    blame.raise(("%s: connection %d is not open"):format(self.peer.name, self.number))
  end
end

--- Sends one frame as it is, right or wrong, where the peer's URL is a WebSocket's: conn:frame { opcode = "text", payload = "x" }.
function Conn:frame(frame)
  blame.call(self.conn.frame, self.conn, frame)
end

--- The packets that came on it so far, of that type if one is given.
function Conn:received(type)
  return wire.all(self.peer.scenario, { self.who }, "up", type, self.books)
end

for verb in ("rst fin vanish stall resume close"):gmatch "%S+" do
  Conn[verb] = function(self)
    blame.call(self.conn.act, self.conn, verb)
  end
end

function conn_computed:client_id()
  return blame.call(self.conn.client_id, self.conn)
end

function conn_computed:is_open()
  return self.conn:is_open()
end

link.give(conn_computed, "up down both", function(self)
  local scope = blame.call(self.conn.scope, self.conn)
  return self.peer.scenario, scope, ("%s.%d"):format(self.peer.name, self.number)
end)

M.conn_meta = object.class("connection", Conn, conn_computed, "number", "line")

local function wrap(self, conn)
  local number = conn:number()
  local known_conn = self.conns[number]
  if not known_conn then
    known_conn = setmetatable({ peer = self, conn = conn, number = number, who = conn:who(), books = {} }, M.conn_meta)
    self.conns[number] = known_conn
  end
  return known_conn
end

-- The listening broker.

local Peer = {}
local computed = {}

--- Connection n, counted from 1 in the order in which they were accepted; without n the newest that is up. nil if it
--- is not there.
function Peer:conn(n)
  if n ~= nil then
    return self.conns[n]
  end
  local conn = self.peer:conn()
  return conn and wrap(self, conn)
end

local function newest(self)
  local conn = self:conn()
  if not conn then
    blame.raise(self.name .. " has no connection that is up")
  end
  return conn
end

--- Sends a packet on the newest connection: peer:send("PUBACK", { packet_id = 1 }).
function Peer:send(type, fields)
  newest(self):send(type, fields)
end

--- Sends bytes as they are on the newest connection.
function Peer:send_raw(bytes)
  newest(self):send_raw(bytes)
end

--- Sends one WebSocket frame as it is on the newest connection.
function Peer:frame(frame)
  newest(self):frame(frame)
end

--- fn(conn, packet) answers packets of that type instead of the broker; it may wait. If it returns true before it
--- first waits, the broker
--- answers as well. nil takes it away.
function Peer:on(type, fn)
  wire.check_type(type)
  if not self.scripted then
    blame.raise "a built-in broker is not scripted: use t:peer()"
  elseif fn == nil then
    self.peer:handler(type, nil)
    return
  elseif _G.type(fn) ~= "function" then
    blame.raise(("peer:on(type, fn) takes a function, not a %s"):format(_G.type(fn)))
  end
  local scheduler = self.scenario.scheduler
  self.peer:handler(type, function(conn, packet)
    local task = scheduler:start(fn, wrap(self, conn), packet)
    return task.done and task.results ~= nil and task.results[1] == true
  end)
end

--- The packets that came so far, of that type if one is given, from all connections.
function Peer:received(type)
  return wire.all(self.scenario, self.participants, "up", type, self.books)
end

--- Closes the listener and all connections. Sessions stay.
function Peer:stop()
  self.peer:stop(false)
end

--- Listens again, at the same address.
function Peer:start()
  blame.call(self.peer.start, self.peer)
end

--- Ends like a killed process: connections are closed, sessions and retained messages are lost.
function Peer:kill()
  self.peer:kill()
  self.peer:forget()
end

--- stop and start; persist = false: sessions and retained messages are lost.
function Peer:restart(options)
  options = blame.options(options, blame.set "persist", "restart")
  self.peer:stop(false)
  if options.persist == false then
    self.peer:forget()
  end
  blame.call(self.peer.start, self.peer)
end

--- Like a stopped process: connects and bytes are taken, nothing comes back.
function Peer:pause()
  self.peer:pause(true)
end

function Peer:resume()
  self.peer:pause(false)
end

--- What it has to say: connections and their ends.
function Peer:log()
  return self.lines:text()
end

function Peer:close()
  self.peer:close()
end

--- Runs a script beside the scenario; returns its handle.
function Peer:play(script)
  if not self.scripted then
    blame.raise "a built-in broker is not scripted: use t:peer()"
  end
  return play.new(self, script)
end

function computed:stats()
  return self.peer:stats()
end

link.give(computed, "up down both sys", function(self)
  return self.scenario, self.peer:scope(), self.name
end)

M.meta = object.class("peer", Peer, computed, "url name", "peer tls")
M.meta.__close = Peer.close

local function listen(self, peer)
  peer:on_accept(function(conn)
    local wrapped = wrap(self, conn)
    self.participants[#self.participants + 1] = wrapped.who
    self.lines:add(("connection %d accepted\n"):format(wrapped.number))
    play.accepted(self.plays, wrapped)
  end)
  peer:on_taken(function(conn, what)
    play.came(wrap(self, conn).line, what)
  end)
  peer:on_end(function(conn, why)
    local line = rawget(wrap(self, conn), "line")
    if line then
      play.ended(line, tostring(why))
    end
    self.lines:add(("connection %d ended: %s\n"):format(conn:number(), tostring(why)))
  end)
  peer:on_cert(function(kind)
    return core.tls_server { tls = pki.replaced(self.scenario, self.tls, kind) }
  end)
  peer:on_trouble(function(sentence)
    self.lines:add(sentence .. "\n")
    self.scenario.scheduler:trouble(("%s: %s"):format(self.name, sentence))
  end)
end

--- `scripted`: whether peer:on can take packets.
function M.new(scenario, options, name, scripted)
  options = blame.options(options, known, scripted and "t:peer" or "t:builtin")
  local self = setmetatable({
    scenario = scenario,
    name = options.name or name,
    scripted = scripted,
    conns = {},
    participants = {},
    plays = {},
    books = {},
    lines = log.new(options.name or name),
  }, M.meta)
  local given = { name = self.name, scripted = scripted }
  for key, value in next, options do
    given[key] = value
  end
  given.transport = nil
  given.url, given.tls = transport.listen(scenario, options, scripted and "t:peer" or "t:builtin")
  given.ws = websocket.options(options.ws)
  self.peer = blame.call(simulation.at, self.name, core.peer, given)
  self.tls = given.tls
  self.url = self.peer:url()
  listen(self, self.peer)
  scenario:own(self)
  return self
end

return M
