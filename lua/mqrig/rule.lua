-- rule: fault rules as sentences: peer.down:on("PUBACK"):id(2):drop().
--
-- Every method adds words to the rule's text, which the engine parses; what is more than text, functions, goes along
-- as hooks. An action installs the
-- rule and returns its handle. Obligations and the name may stand before the action or behind it.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local object = require "mqrig.object"
local sentence = require "mqrig.sentence"
local show = require "mqrig.show"
local task = require "mqrig.task"

local M = {}

-- Handles: rules that are installed.

local Handle = {}
local handle_computed = {}

function handle_computed:seen()
  return self.raw.seen
end

function handle_computed:fired()
  return self.raw.fired
end

--- Takes the rule out; what it holds goes on.
function Handle:off()
  self.raw:off()
end

--- Lets the n oldest held packets go, without n all, which also ends the rule. Returns how many went.
function Handle:release(n)
  return blame.call(self.raw.release, self.raw, n)
end

local wait_known = blame.set "within times"

local function has_fired(wanted)
  return wanted.raw.fired >= wanted.times
end

--- Waits until it has fired, `times` times (1).
function Handle:wait(options)
  options = blame.options(options, wait_known, "wait")
  local within_ns = blame.within_ns(options, "wait")
  local wanted = { raw = self.raw, times = options.times or 1 }
  if has_fired(wanted) then
    return
  end
  task.watch(core.now() + within_ns, "the firing of a rule", has_fired, wanted)
  if not has_fired(wanted) then
    local seen = ("what it is about was seen %d times"):format(self.raw.seen)
    failure.late(('the rule "%s" did not fire'):format(self.text), within_ns, seen)
  end
end

local function install(self)
  local link = self.link
  local raw = blame.call(link.scope.rule, link.scope, self.text, self.hooks)
  self.raw = raw
  self.text = raw:text()
end

-- An obligation behind the action: the same rule, nothing having passed in between, with one word more.
for name, places in pairs(sentence.obligations) do
  Handle[name] = function(self, ...)
    local words = sentence.clause(name, places, ...)
    if self.raw.seen > 0 then
      blame.raise(("%s comes too late: packets have passed since the rule was made"):format(name))
    elseif self.followed then
      blame.raise(("%s comes too late: another rule is to act after this one"):format(name))
    end
    self.raw:off()
    self.text = self.text .. " " .. words
    install(self)
    return self
  end
end

M.handle_meta = object.class("rule", Handle, handle_computed, "text", "hooks raw")
M.handle_meta.__close = Handle.off

local function new_handle(link, rule_text, hooks, group)
  local handle = { link = link, text = rule_text, hooks = hooks, group = group or false, followed = false }
  install(handle)
  handle.file, handle.line = blame.where()
  setmetatable(handle, M.handle_meta)
  link.scenario:keep_rule(handle)
  return handle
end

--- Installs a rule by its text. Of the rules of one `group` it is enough that one meets its obligation.
function M.install(link, rule_text, group)
  return new_handle(link, rule_text, nil, group)
end

-- Builders: sentences that are not complete.

local Builder = {}

local function add(self, words)
  self.words[#self.words + 1] = words
  return self
end

for name, places in pairs(sentence.clauses) do
  Builder[name] = function(self, ...)
    return add(self, sentence.clause(name, places, ...))
  end
end

for name, places in pairs(sentence.obligations) do
  Builder[name] = function(self, ...)
    self.duties[#self.duties + 1] = sentence.clause(name, places, ...)
    return self
  end
end

local function finish(self, action)
  if self.finished then
    blame.raise "this rule has its action already: begin a new sentence with on(...)"
  end
  self.finished = true
  add(self, action)
  for _, duty in ipairs(self.duties) do
    add(self, duty)
  end
  return new_handle(self.link, table.concat(self.words, " "), self.hooks)
end

for name, places in pairs(sentence.actions) do
  Builder[name] = function(self, ...)
    return finish(self, sentence.clause(name, places, ...))
  end
end

--- dup(), dup(false): packets with or without the DUP flag. dup(n): the action, the packet n times more.
function Builder:dup(value)
  if type(value) == "number" then
    return finish(self, sentence.clause("dup", { "integer" }, value))
  end
  return add(self, sentence.clause("dup", { "flag" }, value == nil or value))
end

--- Only packets with that property, and with that value of it.
function Builder:prop(name, value)
  if value ~= nil then
    name = ("%s=%s"):format(tostring(name), tostring(value))
  end
  return add(self, sentence.clause("prop", { "text" }, name))
end

--- Only what comes after another rule of this place has fired: the rule, or the name it was given.
function Builder:after(rule)
  if getmetatable(rule) ~= M.handle_meta then
    return add(self, sentence.clause("after", { "text" }, rule))
  elseif rule.link ~= self.link then
    blame.raise "after: the other rule belongs to another place, and what fires there is not known here"
  end
  rule.followed = true
  return add(self, "after #" .. rule.raw.number)
end

local function hook(self, name, fn)
  if type(fn) ~= "function" then
    blame.raise(("%s takes a function, not %s"):format(name, show.value(fn)))
  end
  self.hooks = self.hooks or {}
  self.hooks[name] = fn
end

--- Only packets for which fn(packet) is true.
function Builder:where(fn)
  hook(self, "where", fn)
  return add(self, "where")
end

--- fn(packet) gives the packet, or bytes, to go on instead; false drops it.
function Builder:rewrite(fn)
  hook(self, "rewrite", fn)
  return finish(self, "rewrite")
end

--- Puts bytes or a packet behind the one that matched, with "before" in front of it.
function Builder:inject(what, where)
  if where == "before" then
    add(self, "before")
  elseif where ~= nil then
    blame.raise(('inject\'s second value is "before" or nothing, not %s'):format(show.value(where)))
  end
  return finish(self, "inject " .. sentence.bytes(what, "inject"))
end

--- retain(), retain(false): packets with or without the RETAIN flag.
function Builder:retain(value)
  return add(self, sentence.clause("retain", sentence.clauses.retain, value == nil or value))
end

for name, why in pairs(sentence.absent) do
  Builder[name] = function()
    blame.raise(("%s cannot be done: %s"):format(name, why))
  end
end

M.builder_meta = object.class("rule", Builder, nil, nil, "hooks")

-- Places: where a sentence begins.

local Place = {}

local packets = 'packets, or "any", "bytes", "connect", "accept", "close", "tls"'
local about = { up = packets, down = packets, both = packets, sys = 'own system calls ("send", "recv")' }

--- What the rule is about: a packet's name, several, "any", "bytes", "connect", "accept", "close"; of a `sys` own
--- system calls.
function Place:on(what, ...)
  local names = type(what) == "table" and what or { what, ... }
  for i, name in ipairs(names) do
    if type(name) ~= "string" or not name:match "^%w+$" then
      blame.raise(("on takes names of %s, item %d is %s"):format(about[self.direction], i, show.value(name)))
    end
  end
  if #names == 0 then
    blame.raise(("on takes names of %s, and got none"):format(about[self.direction]))
  end
  local words = { ("%s %s"):format(self.direction, table.concat(names, ",")) }
  local builder = setmetatable({ link = self.link, words = words, duties = {}, finished = false }, M.builder_meta)
  builder.file, builder.line = blame.where()
  self.link.scenario:keep_builder(builder)
  return builder
end

M.place_meta = object.class("place", Place)

--- `direction`: "up", "down", "both", or "sys" for own system calls.
function M.place(link, direction)
  return setmetatable({ link = link, direction = direction }, M.place_meta)
end

--- The first sentence that was begun and has no action, or nil.
function M.unfinished(builders)
  for _, builder in ipairs(builders) do
    if not builder.finished then
      return builder, table.concat(builder.words, " ")
    end
  end
end

--- The sentence for the first obligation that was not met, with its handle; nil if all were.
function M.unmet(handles)
  local groups = {}
  local first, first_why
  for _, handle in ipairs(handles) do
    local met, why = handle.raw:met()
    local group = handle.group
    if group then
      groups[group] = groups[group] or { handle = handle, why = why }
      groups[group].met = groups[group].met or met
    elseif not met and not first then
      first, first_why = handle, why
    end
  end
  for _, handle in ipairs(handles) do
    local group = groups[handle.group]
    if group and not group.met and not first then
      first, first_why = group.handle, group.why
    end
  end
  return first, first_why
end

return M
