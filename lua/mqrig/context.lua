-- context: `t`, what a scenario's function is given. It owns all that it makes, and closes it in reverse order.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local object = require "mqrig.object"
local random = require "mqrig.random"
local show = require "mqrig.show"
local simulation = require "mqrig.simulation"
local task = require "mqrig.task"

local M = {}

local Context = {}
local computed = {}

local within_known = blame.set "within"

-- What the parts of the library use: own, keep_log, keep_rule.

--- `thing:close()` is called at the end.
function Context:own(thing)
  self.owned[#self.owned + 1] = thing
end

--- The text of a log comes with a failure.
function Context:keep_log(log)
  self.logs[#self.logs + 1] = log
end

--- A rule whose obligation is looked at when the scenario's function has returned.
function Context:keep_rule(handle)
  self.rules[#self.rules + 1] = handle
end

--- A rule that was begun: at the end it must have its action.
function Context:keep_builder(builder)
  self.builders[#self.builders + 1] = builder
end

local function next_name(self, kind)
  local n = (self.counts[kind] or 0) + 1
  self.counts[kind] = n
  return kind .. n
end

function computed:broker()
  if self.broker_starting then
    task.wait_for(self.broker_starting, function(starting)
      return starting.done
    end, blame.WITHIN_NS, "the start of the broker")
    return rawget(self, "broker")
  end
  local starting = { done = false }
  self.broker_starting = starting
  rawset(self, "broker", require("mqrig.broker").new(self, self.choice))
  starting.done = true
  task.notify(starting)
  return self.broker
end

--- A mosquitto of the scenario's own: t:mosquitto { conf = "max_inflight_messages 1" }.
function Context:mosquitto(options)
  simulation.needs_real("t:mosquitto", "it has no processes")
  return require("mqrig.mosquitto").new(self, options, next_name(self, "mosquitto"))
end

--- A built-in broker of the scenario's own.
function Context:builtin(options)
  return require("mqrig.peer").new(self, options, next_name(self, "builtin"), false)
end

--- A scripted broker.
function Context:peer(options)
  return require("mqrig.peer").new(self, options, next_name(self, "peer"), true)
end

local function install(self, client)
  if self.on_client then
    self.on_client(client)
  end
  for i, text in ipairs(self.fault_texts) do
    client.link:rule(text, self.fault_groups[i])
  end
end

--- A scenario client, not connected.
function Context:client(options)
  local client = require("mqrig.client")
  self.client_count = self.client_count + 1
  local n = self.client_count
  local c = client.new(self, options, ("%s%d"):format(self.id_prefix, n), ("c%d"):format(n))
  self:own(c)
  install(self, c)
  return c
end

--- A scenario client, connected; raises unless the broker accepts.
function Context:connect(options)
  local c = self:client(options)
  local within = type(options) == "table" and options.within or nil
  c:connect { within = within }
  return c
end

--- A connection without a session.
function Context:raw_client(options)
  return require("mqrig.rawclient").new(self, options, next_name(self, "raw"))
end

--- Certificates to throw away: t:pki(), t:pki { hosts = { "broker.example" } }.
function Context:pki(options)
  return require("mqrig.pki").new(self, options)
end

--- A child process: t:process { "program", "argument" }.
function Context:process(argv)
  simulation.needs_real("t:process", "it has no processes")
  return require("mqrig.process").new(self, argv)
end

--- A fault proxy in front of a broker: t:proxy { upstream = peer }; without upstream, of the broker under test.
function Context:proxy(options)
  return require("mqrig.proxy").new(self, options, next_name(self, "proxy"))
end

--- What a name stands for in this scenario: t:dns("broker.example"):fail("NXDOMAIN").
function Context:dns(name)
  return require("mqrig.dns").new(self, name)
end

function Context:sleep(duration)
  task.sleep(blame.duration_ns(duration, "t:sleep"))
end

--- Seconds since the scenario began. Virtual time stands still while code runs, which real time never does: what a task
--- does takes 1 ns there, so that no wait seems shorter than it was, by the rounding of a difference of two times.
function Context:now()
  local ran_ns = self.net == "sim" and self.scheduler.runs or 0
  return (core.now() - self.began_ns + ran_ns) / 1e9
end

--- Waits until fn() gives a true value, which it returns; looks after everything that happens.
function Context:wait(fn, options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "t:wait"), "t:wait")
  if type(fn) ~= "function" then
    blame.raise(("t:wait takes a function, not a %s"):format(type(fn)))
  end
  local due_ns = core.now() + within_ns
  local value = fn()
  local in_time = true
  while not value and in_time do
    in_time = task.watch(due_ns, "a condition") and core.now() < due_ns
    value = fn()
  end
  if not value then
    failure.late("the condition did not become true", within_ns)
  end
  return value
end

-- What t:spawn returns.
local Spawned = {}
local spawned_computed = {}

--- Waits for its end; returns what its function returned.
function Spawned:join(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "join"), "join")
  if not self.task:wait_done(within_ns) then
    failure.late("the task did not end", within_ns)
  end
  local results = self.task.results or { n = 0 }
  return table.unpack(results, 1, results.n)
end

--- Ends it where it stands.
function Spawned:cancel()
  self.task:cancel()
end

function spawned_computed:done()
  return self.task.done == true
end

M.spawned_meta = object.class("task", Spawned, spawned_computed)

--- Runs fn(...) beside the scenario's function. An error in it fails the scenario. What still runs when the
--- scenario's function returns is ended.
function Context:spawn(fn, ...)
  if type(fn) ~= "function" then
    blame.raise(("t:spawn takes a function, not a %s"):format(type(fn)))
  end
  return setmetatable({ task = self.scheduler:spawn(fn, ...) }, M.spawned_meta)
end

--- Calls fn() at the end, before what was made earlier is closed.
function Context:defer(fn)
  if type(fn) ~= "function" then
    blame.raise(("t:defer takes a function, not a %s"):format(type(fn)))
  end
  self:own { close = fn }
end

--- Calls fn(done), waits until `done` is called, returns what it was called with.
function Context:await(fn, options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "t:await"), "t:await")
  if type(fn) ~= "function" then
    blame.raise(("t:await takes a function, not a %s"):format(type(fn)))
  end
  local pending = {}
  fn(function(...)
    if not pending.results then
      pending.results = table.pack(...)
      task.notify(pending)
    end
  end)
  if not task.wait_for(pending, function()
    return pending.results ~= nil
  end, within_ns, "done() of t:await") then
    failure.late("done() was not called", within_ns)
  end
  return table.unpack(pending.results, 1, pending.results.n)
end

--- A fault experiment: fn(run, params) for every combination of parameters, and a CSV file of what came out.
function Context:sweep(options, fn)
  return require("mqrig.sweep").run(self, options, fn)
end

--- Runs a case: clients, what they do and when, and faults, a line each, as `mqrig explore` writes them. Clients come
--- back by themselves; at the end everything is healed, and all that is pending must come to its end.
function Context:case(lines)
  local case, sentence = require("mqrig.explore.case").parse(require("mqrig.text").lines(lines))
  if not case then
    blame.raise("t:case: " .. sentence)
  end
  require("mqrig.explore.campaign").run(self, case)
end

--- Ends the scenario here: it cannot be run in these surroundings, for this reason.
function Context:skip(reason)
  if type(reason) ~= "string" then
    blame.raise(("t:skip takes the reason, a text, not %s"):format(show.value(reason)))
  end
  failure.skip(reason)
end

--- Puts a line on the timeline.
function Context:log(...)
  local words = table.pack(...)
  for i = 1, words.n do
    words[i] = type(words[i]) == "string" and words[i] or show.value(words[i])
  end
  local line = table.concat(words, " ")
  self.timeline:note(line)
  if self.sink then
    self.sink(line)
  end
end

--- As math.random, from the scenario's seed; a list gives one of its items.
function Context:random(low, high)
  if type(low) == "table" then
    return low[self.rng:integer(1, #low)]
  elseif low == nil then
    return self.rng:float()
  elseif high == nil then
    low, high = 1, low
  end
  if math.type(low) ~= "integer" or math.type(high) ~= "integer" or low > high then
    blame.raise(("t:random: %s to %s is no range of integers"):format(show.value(low), show.value(high)))
  end
  return self.rng:integer(low, high)
end

local private = "broker_starting on_client sink progress out name own keep_log keep_rule keep_builder own_pki pkis transport"
M.meta = object.class("t", Context, computed, "params seed net", private)

--- `settings`: choice, params, seed, net, faults (rule texts for every client's link), name.
function M.new(scheduler, timeline, settings)
  local rng = random.new(settings.seed, settings.name)
  local groups = {} -- of a rule for every client's link it is enough that one fires
  for i = 1, #settings.faults do
    groups[i] = { i }
  end
  return setmetatable({
    scheduler = scheduler,
    timeline = timeline,
    choice = settings.choice,
    params = settings.params,
    seed = settings.seed,
    net = settings.net,
    began_ns = core.now(),
    owned = {},
    logs = {},
    rules = {},
    builders = {},
    plays = {}, -- each must come to its end before the scenario has passed
    counts = {},
    client_count = 0,
    id_prefix = "mq" .. rng:word(11),
    rng = rng,
    transport = settings.transport,
    pkis = {},
    fault_texts = settings.faults,
    fault_groups = groups,
    sink = settings.log,
    progress = settings.progress or function() end, -- is told in a line how far a long scenario is
    out = settings.out or "mqrig-out",
    name = settings.name,
  }, M.meta)
end

return M
