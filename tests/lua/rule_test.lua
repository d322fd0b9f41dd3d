-- Sentences become the rules' text; misuse is said at the user's line; obligations are looked at.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;" .. package.path
require "jumping_core"
local fault = require "mqrig.fault"
local link = require "mqrig.link"
local rule = require "mqrig.rule"

local installed, acted
local scenario = { rules = {}, builders = {} }
function scenario:keep_rule(handle) self.rules[#self.rules + 1] = handle end
function scenario:keep_builder(builder) self.builders[#self.builders + 1] = builder end

local scope = {}
function scope:rule(text, hooks)
  if text:find "refused" then
    error("column 1: refused", 0)
  end
  installed = { text_given = text, hooks = hooks, seen = 0, fired = 0, is_met = false }
  installed.number = 7
  function installed:text() return text end
  function installed:off() self.is_off = true end
  function installed:release(n) return n or 7 end
  function installed:met() return self.is_met, not self.is_met and "it did not fire" or nil end
  return installed
end
function scope:act(verb) acted = verb return scope.up and 1 or 0 end

local peer = link.new(scenario, scope, "peer1")

local function gives(handle, text)
  assert(installed.text_given == text, ("got %q, wanted %q"):format(installed.text_given, text))
  return handle
end

gives(peer.down:on("PUBACK"):id(2):drop(), "down PUBACK id 2 drop")
gives(peer.up:on("PUBLISH"):nth(3):at_byte(7):rst(), "up PUBLISH nth 3 at_byte 7 rst")
gives(peer.both:on("PUBLISH"):qos(2):first():vanish(), "both PUBLISH qos 2 first vanish")
gives(peer:on("any"):drop(), "both any drop")
gives(peer.down:on { "PUBACK", "PUBREC" }:range(2, 4):hold(), "down PUBACK,PUBREC range 2 4 hold")
gives(peer.down:on("bytes"):delay(fault.normal(0.12, 0.03)), "down bytes delay normal(120ms,30ms)")
gives(peer.down:on("bytes"):delay("250ms"), "down bytes delay 250ms")
gives(peer.down:on("bytes"):delay(0.25), "down bytes delay 250ms")
gives(peer.up:on("PUBLISH"):prob(0.25):drop(), "up PUBLISH prob 0.25 drop")
gives(peer.up:on("PUBLISH"):size("1k", 2048):drop(), "up PUBLISH size 1024 2048 drop")
gives(peer.up:on("connect"):refuse(), "up connect refuse")
gives(peer.up:on("any"):fin("down"), "up any fin down")
gives(peer.down:on("bytes"):split(1, "5ms"), "down bytes split 1 5ms")
gives(peer.down:on("bytes"):split(fault.uniform(100, "1k"), "5ms"), "down bytes split uniform(100,1024) 5ms")
gives(peer.down:on("bytes"):split "pareto(100, 1.5)", "down bytes split pareto(100,1.5)")
gives(peer.up:on("PUBLISH"):topic("a/+/b"):retain():dup(false):drop(),
  "up PUBLISH topic a/+/b retain true dup false drop")
gives(peer.up:on("PUBLISH"):topic('a "b" c'):drop(), [[up PUBLISH topic "a \"b\" c" drop]])
gives(peer.up:on("PUBLISH"):first():inject("\xd0\0", "before"), "up PUBLISH first before inject hex:d000")
gives(peer.up:on("PUBLISH"):inject { type = "PINGREQ" }, "up PUBLISH inject hex:50494e47524551")
gives(peer.up:on("PUBLISH"):nth(1.0):must_fire(1):name("x"):drop(), "up PUBLISH nth 1 drop must_fire 1 name x")

gives(peer.up:on("PUBLISH"):dup():dup(2), "up PUBLISH dup true dup 2")
gives(peer.up:on("PUBLISH"):overtake(), "up PUBLISH overtake")
gives(peer.up:on("PUBLISH"):overtake(3), "up PUBLISH overtake 3")
gives(peer.up:on("bytes"):rate("64k"), "up bytes rate 65536")
gives(peer.up:on("bytes"):coalesce(1000), "up bytes coalesce 1000")
gives(peer.up:on("bytes"):coalesce(1000, "20ms"), "up bytes coalesce 1000 20ms")
gives(peer.up:on("PUBLISH"):truncate(-2), "up PUBLISH truncate -2")
gives(peer.up:on("PUBLISH"):corrupt(), "up PUBLISH corrupt")
gives(peer.up:on("PUBLISH"):corrupt {}, "up PUBLISH corrupt")
gives(peer.up:on("PUBLISH"):corrupt { bit = 3, byte = -1, field = "topic" },
  "up PUBLISH corrupt field=topic,byte=-1,bit=3")
gives(peer.up:on("PUBLISH"):rst { who = "client" }, "up PUBLISH rst who=client")
gives(peer.up:on("PUBLISH"):slow_close(2), "up PUBLISH slow_close 2000ms")
gives(peer.up:on("connect"):no_answer(), "up connect no_answer")
gives(peer.up:on("accept"):dead_upstream(), "up accept dead_upstream")
gives(peer.up:on("PUBLISH"):prop("user_property"):drop(), "up PUBLISH prop user_property drop")
gives(peer.up:on("PUBLISH"):prop("content_type", "json"):drop(), 'up PUBLISH prop "content_type=json" drop')
gives(peer.up:on("PUBLISH"):during(0.5, "2s"):drop(), "up PUBLISH during 500ms 2000ms drop")
gives(peer.up:on("bytes"):at(1):rst(), "up bytes at 1000ms rst")
gives(peer.down:on("bytes"):delay(fault.fixed(0.1)), "down bytes delay fixed(100ms)")
gives(peer.down:on("bytes"):delay(fault.pareto("5ms", 1.5)), "down bytes delay pareto(5ms,1.5)")
gives(peer.down:on("PUBACK"):after("the cut"):drop(), 'down PUBACK after "the cut" drop')
local before = peer.up:on("PUBLISH"):rst()
gives(peer.down:on("PUBACK"):after(before):drop(), "down PUBACK after #7 drop")

-- Own system calls.
local sys = rule.place(peer, "sys")
gives(sys:on("send"):nth(3):short(4), "sys send nth 3 short 4")
gives(sys:on("send", "recv"):every(2):short("1k"), "sys send,recv every 2 short 1024")
gives(sys:on { "send", "recv" }:prob(0.5):errno("EINTR"), "sys send,recv prob 0.5 errno EINTR")
gives(sys:on("connect"):first():errno("ECONNREFUSED"):may_fire(), "sys connect first errno ECONNREFUSED may_fire")
gives(sys:on("alloc"):range(2, 4):fail(), "sys alloc range 2 4 fail")

local seen = function() end
gives(peer.up:on("PUBLISH"):where(seen):rewrite(print), "up PUBLISH where rewrite")
assert(installed.hooks.where == seen and installed.hooks.rewrite == print)

-- Behind the action.
local handle = gives(peer.up:on("PUBLISH"):nth(2):drop():may_fire(), "up PUBLISH nth 2 drop may_fire")
assert(handle.seen == 0 and handle.fired == 0 and handle:release(2) == 2 and handle:release() == 7)
do
  local _ <close> = handle
end
assert(installed.is_off)

-- Misuse.
local function misused(fn, pattern)
  local ok, why = pcall(fn)
  assert(not ok and why:find "rule_test.lua:%d+: " and why:find(pattern), tostring(why))
end
misused(function() peer.down:on("PUBACK"):drops() end, 'did you mean "drop"')
misused(function() return peer.dwn end, 'did you mean "down"')
misused(function() peer.down:on("PUBACK"):nth("x"):drop() end, "nth takes an integer")
misused(function() peer.down:on("PUBACK"):nth():drop() end, "nth lacks its value")
misused(function() peer.down:on("PUBACK"):first(1):drop() end, "first takes 0 values")
misused(function() peer.down:on("PUBACK"):where(1) end, "where takes a function")
misused(function() peer.down:on() end, "on takes names of packets, or \"any\"")
misused(function() peer.down:on("refused"):drop() end, "column 1: refused")
misused(function() peer.down:on("PUBACK"):delay("x") end, "duration")
misused(function() peer.down:on("PUBACK"):rate() end, "rate lacks its value")
misused(function() peer.down:on("tls"):cert() end, "cert lacks its value")
misused(function() peer.down:on("PUBACK"):loss(0.5) end, "rig.net:partition")
misused(function() peer.down:on("PUBACK"):corrupt { bits = 1 } end, 'did you mean "bit"')
misused(function() peer.down:on("PUBACK"):corrupt { byte = "x" } end, "corrupt: byte takes an integer")
misused(function() peer.down:on("PUBACK"):rst { whom = "client" } end, 'did you mean "who"')
misused(function() peer.down:on("PUBACK"):dup(1.5) end, "dup takes an integer")
misused(function() peer.down:on("PUBACK"):delay(fault.pareto(1, 0)) end, "the shape is a number")
misused(function() before:may_fire() end, "another rule is to act after this one")
misused(function() link.new(scenario, scope, "c1").up:on("PUBLISH"):after(before) end, "another place")
misused(function() peer:rst() end, "no connection that is up")
misused(function() peer:rst("x") end, "takes no arguments")
misused(function()
  local builder = peer.down:on("PUBACK")
  builder:drop()
  builder:drop()
end, "has its action already")
misused(function() sys:on() end, "on takes names of own system calls")
misused(function() sys:on(1) end, "item 1 is 1")
misused(function() sys:on("send"):short() end, "short lacks its value")
misused(function() sys:on("send"):short("x") end, "short: ")
misused(function() sys:on("send"):errno() end, "errno lacks its value")
misused(function() sys:on("send"):errno(4) end, "errno takes a text")
misused(function() sys:on("send"):fail("EPIPE") end, "fail takes 0 values")
misused(function() sys:on("send"):shrot(4) end, 'did you mean "short"')
scope.up = true
peer:fin()
assert(acted == "fin")

-- Obligations.
assert(rule.unmet {} == nil)
local a = { raw = { met = function() return true end }, group = false }
local b = { raw = { met = function() return false, "why" end }, group = false }
assert(rule.unmet { a } == nil)
local unmet, why = rule.unmet { a, b }
assert(unmet == b and why == "why")
local group = {}
a.group, b.group = group, group
assert(rule.unmet { b, a } == nil, "one of the group is enough")
a.group = false
assert(rule.unmet { b, a } == b)
local begun = peer.down:on("PUBACK"):id(3)
local unfinished, text = rule.unfinished { begun }
assert(unfinished == begun and text == "down PUBACK id 3")

-- Every word has a scenario: one that is looked for in the shipped ones.
local shipped = io.popen("cat scenarios/faults/*.lua scenarios/faults/*/*.lua"):read "a"
local sentence = require "mqrig.sentence"
for _, list in ipairs { sentence.clauses, sentence.actions, sentence.obligations,
  { dup = {}, where = {}, after = {}, rewrite = {}, inject = {} } } do
  for name in pairs(list) do
    assert(shipped:find("[%l%)]:" .. name .. "[%( \"{]"), "no scenario in scenarios/faults has the word " .. name)
  end
end
