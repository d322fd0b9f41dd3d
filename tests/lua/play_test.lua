-- Plays: what steps may be, what matches what, what a mismatch says, whose connection is whose; with a peer that is
-- none and a clock that jumps.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
local core = require "jumping_core"
local match = require "mqrig.match"
local play = require "mqrig.play"
local playscript = require "mqrig.playscript"
local task = require "mqrig.task"

local SECOND = 1000000000

-- Matching.
local publish = { type = "PUBLISH", qos = 1, packet_id = 7, topic = "a/b", payload = "x", dup = false, raw = "\x32" }
assert(match.packet(publish, { type = "PUBLISH" }) and match.packet(publish, { type = "any" }))
assert(match.packet(publish, { type = "PUBLISH", fields = { packet_id = 7, payload = match.ANY, topic = "..." } }))
assert(not match.packet(publish, { type = "PUBLISH", fields = { packet_id = 8 } }))
assert(not match.packet(publish, { type = "PUBREL", fields = { packet_id = 7 } }))
assert(not match.packet("\xff\xff", { type = "any" }))
assert(match.packet(publish, { bytes = "\x32" }) and match.packet("\xff", { bytes = "\xff" }))
assert(match.packet(publish, { type = "PUBLISH", fields = { qos = function(q) return q > 0 end } }))
local will = { type = "CONNECT", will = { topic = "w", payload = "p", qos = 0 }, filters = { "a", "b" } }
assert(match.packet(will, { type = "CONNECT", fields = { will = { topic = "w", payload = match.ANY } } }))
assert(not match.packet(will, { type = "CONNECT", fields = { filters = { "a" } } }))

-- What a mismatch says: field under field, with marks.
local function texts(got, wanted)
  return table.concat({ match.texts(got, wanted) }, "\n")
end
assert(texts(publish, { type = "PUBLISH", fields = { packet_id = 10, topic = "a/b", retain = true } }) == [[
PUBLISH !retain=true !packet_id=10 topic="a/b"
PUBLISH !no retain   !packet_id=7  topic="a/b" dup=false qos=1 payload="x"]])
assert(texts(publish, { type = "PUBREL", fields = { packet_id = 7 } }) == [[
!PUBREL packet_id=7
!PUBLISH dup=false qos=1 packet_id=7 topic="a/b" payload="x"]])
assert(texts("\x62\x02", { type = "PUBREL" }) == "PUBREL\nbytes that are no packet: 62 02")

-- Any order: whatever the order of the expectations, if there is an arrangement it is found.
local list = { { type = "PUBLISH" }, { type = "PUBLISH", fields = { qos = 1 } }, { type = "any" } }
local all, taken = {}, {}
for _, qos in ipairs { 1, 1, 0 } do
  all[#all + 1] = { type = "PUBLISH", qos = qos }
  assert(match.assign(all, list, taken))
end
all[4] = { type = "PINGREQ" }
assert(not match.assign(all, list, taken))

-- Steps that are none, with their number and what was meant.
local function bad(step, pattern)
  local ok, message = pcall(playscript.parse, { { "<", "CONNECT" }, step })
  assert(not ok and message:find(pattern, 1, true) and message:find("step 2", 1, true), message)
end
bad({ "<", "PUBLSH" }, 'did you mean "PUBLISH"')
bad({ ">", "rts" }, 'did you mean "rst"')
bad({ "<", "PUBLISH", packetid = 1 }, 'did you mean "packet_id"')
bad({ "<", "PUBLISH", within = -1 }, "within: a duration is from 0")
bad({ "<", "PUBLISH", 7 }, "behind \"PUBLISH\" come fields by name")
bad({ ">", "rst", packet_id = 1 }, "an action has no packet_id")
bad({ ">", "\x62\x02\x00\x01", packet_id = 1 }, "a step that sends bytes has no packet_id")
bad({ ">", "PUBLISH", topic = match.ANY }, "any value can be expected, not sent")
bad({ ">", "PUBLISH", split = 0 }, "split is a number of bytes")
bad({ "+soon", ">", "rst" }, "delay: a duration is seconds")
bad({ "never" }, "a packet's name or bytes are due")
bad({ any_order = {} }, "any_order is a list of steps")
bad({ any_order = { { ">", "PINGRESP" } } }, "packets from the client")
bad({ any_order = { { "<", "CONNECT" } } }, "it has its place in the order")
bad({ "=", "PUBLISH" }, "it is none of")
bad({}, "it is none of")
bad("rst", "not one of")
for pattern, script in pairs {
  ["this is empty"] = {}, ["not a text"] = { { "<", "CONNECT" }, within = "soon" },
  ['did you mean "default"'] = { { "<", "CONNECT" }, defalt = true },
} do
  local ok, message = pcall(playscript.parse, script)
  assert(not ok and (message:find(pattern, 1, true) or message:find("duration", 1, true)), message)
end

-- A peer that is none.
local function new_peer(scheduler)
  local peer = { name = "peer1", plays = {}, conns = {}, scenario = { scheduler = scheduler, plays = {} } }
  function peer:conn()
    for i = #self.conns, 1, -1 do
      if not self.conns[i].closed then
        return self.conns[i]
      end
    end
  end
  function peer:accept()
    local conn = { sent = {}, conn = { take = function(c, driven) c.driven = driven end } }
    function conn:send_raw(bytes) self.sent[#self.sent + 1] = bytes end
    function conn:rst() self.closed = true play.ended(self.line, "reset by this end") end
    self.conns[#self.conns + 1] = conn
    play.accepted(self.plays, conn)
    return conn
  end
  return peer
end

-- Runs fn(peer, scheduler) and what it played to the end; returns the outcome, the failure.
local function scene(fn)
  local s = task.new(math.maxinteger)
  local peer = new_peer(s)
  local main = s:spawn(function()
    fn(peer, s)
    play.finish(peer.scenario.plays)
  end)
  local outcome = s:run(main, core.now() + 100 * SECOND)
  return outcome, s.failure and s.failure.error
end

local function came(conn, type, fields)
  local packet = { type = type }
  for name, value in pairs(fields or {}) do
    packet[name] = value
  end
  play.came(conn.line, packet)
end

-- A whole play: answers take the identifier of what came last, pieces and delays take their time.
local began = core.now()
local conn
local outcome, why = scene(function(peer)
  local p = peer:conn() == nil and play.new(peer, {
    { "<", "CONNECT" }, { ">", "CONNACK" }, { "<", "SUBSCRIBE" }, { "+1.5", ">", "SUBACK" },
    { ">", "abc1", split = 1, gap = 0.5 }, { "never", "PUBLISH", for_ = 2 }, { "<", "PINGREQ" },
    { any_order = { { "<", "PUBACK", packet_id = 1 }, { "<", "PUBACK", packet_id = 2 } } },
    function(c, last) assert(c == conn and last.packet_id == 1) end, { "<", "fin" },
  })
  conn = peer:accept()
  assert(conn.line)
  came(conn, "CONNECT", { client_id = "x" })
  came(conn, "SUBSCRIBE", { packet_id = 5, subscriptions = { { "a", 1, qos = 1 } } })
  came(conn, "PINGREQ") -- stays for its step
  task.sleep(4 * SECOND)
  came(conn, "PUBACK", { packet_id = 2 })
  came(conn, "PUBACK", { packet_id = 1 })
  play.ended(conn.line, "closed by the other end")
  p:wait()
  assert(p.done and conn.client_id == "x")
end)
assert(outcome == "done", tostring(why))
assert(table.concat(conn.sent, " ") == "CONNACK SUBACK5 a b c 1" and core.now() - began >= 5.5 * SECOND)

-- A second connection after a reset; a connection that no play needs is left alone.
assert(scene(function(peer)
  local p = play.new(peer, { { "<", "CONNECT" }, { ">", "rst" }, { "<", "CONNECT" }, { ">", "CONNACK" } })
  local first = peer:accept()
  came(first, "CONNECT")
  task.sleep(1)
  local second, third = peer:accept(), peer:accept()
  assert(second.line and not third.line)
  came(second, "CONNECT")
  p:wait()
  assert(first.closed and second.sent[1] == "CONNACK")
  -- A play that begins with something else takes the connection that is up; where another stood, it goes on.
  third.closed = true
  came(second, "PINGREQ")
  play.new(peer, { { "<", "PINGREQ" }, { ">", "PINGRESP" } }):wait()
  assert(second.sent[2] == "PINGRESP")
end) == "done")

-- Two plays, a connection each.
assert(scene(function(peer)
  local a = play.new(peer, { { "<", "CONNECT", client_id = "a" } })
  local b = play.new(peer, { { "<", "CONNECT", client_id = "b" } })
  came(peer:accept(), "CONNECT", { client_id = "a" })
  came(peer:accept(), "CONNECT", { client_id = "b" })
  a:wait()
  b:wait()
end) == "done")

-- With the broker's answers, what is not expected passes.
assert(scene(function(peer)
  local p = play.new(peer, { default = true, { "<", "PUBLISH", qos = 2 } })
  local c = peer:accept()
  came(c, "CONNECT")
  came(c, "PUBLISH", { qos = 1 })
  came(c, "PUBLISH", { qos = 2 })
  p:wait()
end) == "done")

-- What fails, and how it is told: the step, what was expected, what came.
local function fails(steps, script, expected, got, message)
  local result, failed = scene(function(peer)
    steps.within = 1
    play.new(peer, steps)
    if script then
      script(peer)
    end
  end)
  assert(result == "failed" and failed.expected == expected and failed.got == got, tostring(failed))
  assert(failed.message:find(message, 1, true), failed.message)
  assert(failed.file:find "play_test.lua$" and failed.line)
end
fails({ { "<", "CONNECT" } }, nil, '"<", CONNECT', "no connection", "step 1 of 1: no connection came within 1 s")
fails({ { "<", "CONNECT" } }, function(peer) peer:accept() end, "CONNECT", "nothing", "did not come within 1 s")
fails({ { "<", "CONNECT" } }, function(peer) came(peer:accept(), "PINGREQ") end, "!CONNECT", "!PINGREQ",
  "another packet came")
fails({ { "<", "CONNECT" } }, function(peer) play.came(peer:accept().line, "\xff") end, "CONNECT",
  "bytes that are no packet: ff", "another packet came")
fails({ { "<", "CONNECT" } }, function(peer) play.ended(peer:accept().line, "closed by the other end") end, "CONNECT",
  "the end of the connection: closed by the other end", "the connection ended")
fails({ { "<", "CONNECT" }, { "never", "PUBLISH", for_ = 3 } }, function(peer)
  local c = peer:accept()
  came(c, "CONNECT")
  task.sleep(2 * SECOND)
  came(c, "PUBLISH", { qos = 0 })
end, "no PUBLISH", "PUBLISH qos=0", "step 2 of 2: what was never to come came")
fails({ { "<", "CONNECT" }, { any_order = { { "<", "PUBLISH" }, { "<", "PINGREQ" } } } }, function(peer)
  local c = peer:accept()
  came(c, "CONNECT")
  came(c, "PINGREQ")
  came(c, "PINGREQ")
end, "PUBLISH", "PINGREQ", "another packet came")
fails({ { "<", "CONNECT" }, { "<", "rst" } }, function(peer)
  local c = peer:accept()
  came(c, "CONNECT")
  play.ended(c.line, "closed by the other end")
end, "the end of the connection: rst", "the end of the connection: closed by the other end", "step 2")
fails({ { "<", "CONNECT" }, { "+2", ">", "CONNACK" } }, function(peer)
  local c = peer:accept()
  came(c, "CONNECT")
  play.ended(c.line, "reset by the other end")
end, '">", CONNACK', "the end of the connection", "the connection has ended: reset by the other end")

-- A play that was stopped is asked for nothing more; a wait in vain says where it stands.
assert(scene(function(peer)
  play.new(peer, { { "<", "CONNECT" } }):stop()
end) == "done")
outcome, why = scene(function(peer)
  play.new(peer, { { "<", "CONNECT", within = 9 } }):wait { within = 1 }
end)
assert(outcome == "failed" and why.message:find('it stands at step 1 of 1, "<", CONNECT', 1, true), tostring(why))
