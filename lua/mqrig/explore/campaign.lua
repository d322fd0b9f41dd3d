-- campaign: runs one case as a scenario: clients that come back whenever they lose their connection, the steps at their
-- times, the faults; then it heals everything, and demands that all comes to its end.

local core = require "mqrig.core"
local case_ = require "mqrig.explore.case"
local failure = require "mqrig.failure"
local network = require "mqrig.explore.network"
local random = require "mqrig.random"
local task = require "mqrig.task"

local M = {}

M.CONNECT_TIMEOUT_S = 3
M.AGAIN_MS = { 50, 500 } -- from a connect that came to nothing, or a loss, to the next one; doubled each time up to
M.AGAIN_MAX_MS = 5000    -- this
M.LIVENESS_S = 120        -- from healing to the end of all that is pending
M.SETTLE_S = 30           -- behind that, for what is on its way: a network that was cut tries again later and later
M.QUIET_S = 30            -- behind that, in which only pings may pass

local function tell(t, what, one, code, value)
  t.timeline:tell(what, one and core.client_who(one.client.real) or nil, code, value)
end

-- One client of the case. `wanted`: it is to be connected. `pending`: sends without a result.
local function new_one(t, spec, broker)
  local will = spec.will and {
    topic = "will/" .. spec.id, payload = "will of " .. spec.name, qos = spec.will, retain = spec.willretain or false,
  }
  local client = t:client {
    broker = broker, id = spec.id, clean = not spec.kept, keepalive = spec.keepalive, timeout = M.CONNECT_TIMEOUT_S, will = will,
    maxinflight = spec.maxinflight, maxbuffered = spec.maxbuffered,
  }
  local one = { spec = spec, client = client, wanted = true, pending = 0, sent = 0, tries = 0, subscribe = {} }
  one.rng = random.new(t.seed, "again/" .. spec.name)
  for i, subscription in ipairs(spec.subscribe) do
    one.subscribe[i] = subscription
  end
  client.mqtt:onconnectionlost(function()
    task.notify(one)
  end)
  return one
end

local function is_idle(one)
  return one.client.state == "disconnected"
end

local function has_work(one)
  return one.over or one.wanted and is_idle(one)
end

local function subscribe_again(one)
  for _, subscription in ipairs(one.subscribe) do
    one.client.mqtt:subscribe(subscription[1], subscription[2])
  end
end

local function pause_ms(one)
  local most = math.min(M.AGAIN_MAX_MS, M.AGAIN_MS[2] << math.min(one.tries, 10))
  one.tries = one.tries + 1
  return one.rng:integer(M.AGAIN_MS[1], most)
end

-- A task: has the client connected whenever it should be.
local function keep_connected(t, one)
  while not one.over do
    task.wait_for(one, has_work, math.maxinteger // 2, "a reason to connect")
    if one.tries > 0 then
      t:sleep(pause_ms(one) / 1000)
    end
    if has_work(one) and not one.over then
      one.tries = math.max(one.tries, 1)
      if one.client:try_connect() == 0 then
        subscribe_again(one)
      end
      task.notify(one.owner)
    end
  end
end

-- A payload that no other message of the run has.
local function payload_of(one, size)
  one.sent = one.sent + 1
  local token = ("%s.%d"):format(one.spec.name, one.sent)
  return size > #token and token .. (" "):rep(size - #token) or token
end

local function publish(one, step)
  if one.client.state ~= "connected" then
    return
  end
  local payload = step.retain and step.size == 0 and "" or payload_of(one, step.size or 0)
  local message = one.client.mqtt:createmessage(step.topic, payload, { qos = step.qos, retain = step.retain })
  one.pending = one.pending + 1
  message:sendasync(function()
    one.pending = one.pending - 1
    if one.pending == 0 then
      task.notify(one.owner)
    end
  end)
end

local steps = {}

steps.publish = publish

function steps.flood(one, step)
  local message = { topic = "flood", qos = step.qos, size = 0 }
  if one.client.state == "connected" then
    one.client.link:stall()
    for _ = 1, step.count do
      publish(one, message)
    end
    one.client.link:resume()
  end
end

function steps.connect(one)
  one.wanted, one.tries = true, 0
  task.notify(one)
end

function steps.disconnect(one)
  one.wanted = false
  if one.client.state == "connected" then
    one.client.mqtt:disconnect(function()
      task.notify(one)
    end)
  end
end

function steps.close(one)
  one.wanted = false
  one.client:close()
end

function steps.subscribe(one, step)
  one.subscribe[#one.subscribe + 1] = { step.topic, step.qos }
  if one.client.state == "connected" then
    one.client.mqtt:subscribe(step.topic, step.qos)
  end
end

function steps.unsubscribe(one, step)
  for i = #one.subscribe, 1, -1 do
    if one.subscribe[i][1] == step.topic then
      table.remove(one.subscribe, i)
    end
  end
  if one.client.state == "connected" then
    one.client.mqtt:unsubscribe(step.topic)
  end
end

local broker_steps = {}

function broker_steps.kill(run)
  if run.broker_up then
    run.broker:kill()
    run.broker_up = false
  end
end

function broker_steps.start(run)
  if not run.broker_up then
    run.broker:start()
    run.broker_up = true
  end
end

function broker_steps.restart(run)
  if run.broker_up then
    run.broker:restart { persist = true }
  end
end

function broker_steps.forget(run)
  if run.broker_up then
    run.broker:restart { persist = false }
  end
end

local function do_step(run, step)
  if step.who == "broker" then
    broker_steps[step.verb](run)
  else
    steps[step.verb](run.by_name[step.who], step)
  end
end

-- Faults.

local function act_now(one, verb)
  if one.client.state ~= "disconnected" then
    pcall(one.client.link[verb], one.client.link) -- there may be no connection at this moment
  end
end

local lasting = {
  stall = { function(one)
    act_now(one, "stall")
  end, function(one)
    act_now(one, "resume")
  end },
}

local function on_the_way(run, verb)
  return { function(one)
    network.begin(verb, one.client, run.broker)
  end, function(one)
    network.finish(one.client, run.broker)
  end }
end

--- In a task of its own: a fault of a scenario's client, at its time from now.
function M.fault_at_its_time(t, fault, client)
  local one = { client = client }
  t:sleep(fault.at / 1000)
  if not fault.to then
    act_now(one, fault.verb)
    return
  end
  local pair = lasting[fault.verb] or on_the_way({ broker = t.broker }, fault.verb)
  pair[1](one)
  t:sleep((fault.to - fault.at) / 1000)
  pair[2](one)
end

-- What happens at a time, as { at =, act = }.
local function events_of(t, run)
  local events = {}
  local function add(at, act)
    events[#events + 1] = { at = at, act = act }
  end
  for _, step in ipairs(run.case.steps) do
    add(step.at, function()
      do_step(run, step)
    end)
  end
  for _, fault in ipairs(run.case.faults) do
    local one = run.by_name[fault.who]
    if one and fault.to then
      local pair = lasting[fault.verb] or on_the_way(run, fault.verb)
      add(fault.at, function()
        t:log("fault: " .. case_.fault_text(fault))
        pair[1](one)
      end)
      add(fault.to, function()
        pair[2](one)
      end)
    elseif one and fault.at then
      add(fault.at, function()
        act_now(one, fault.verb)
      end)
    end
  end
  return case_.sort_in_time(events)
end

local function install_standing(run)
  for _, fault in ipairs(run.case.faults) do
    local one = run.by_name[fault.who]
    if one and fault.verb == "rule" then
      run.rules[#run.rules + 1] = one.client.link:rule(fault.text)
    elseif one and network.is_standing(fault.verb) then
      network.stand(fault, one.client, run.broker)
    end
  end
end

-- Whether anything of the case happens to this client, or to the broker.
local function is_meddled_with(case, one)
  for _, spec in ipairs(case.clients) do
    if spec.name ~= one.spec.name and spec.id == one.spec.id then
      return true
    end
  end
  for _, fault in ipairs(case.faults) do
    if fault.who == one.spec.name then
      return true
    end
  end
  for _, step in ipairs(case.steps) do
    if step.who == "broker" or step.who == one.spec.name and step.verb ~= "publish" then
      return true
    end
  end
  return false
end

-- Everything that was broken works again; of clients that share an identifier one stays.
local function heal(t, run)
  t:log "everything is healed"
  for _, handle in ipairs(run.rules) do
    handle:off()
  end
  broker_steps.start(run)
  tell(t, "healed", nil, 0, M.LIVENESS_S * 1000000000)
  local taken = {}
  for _, one in ipairs(run.ones) do
    act_now(one, "resume")
    if t.net == "sim" then
      network.heal(one.client, run.broker)
    end
    if taken[one.spec.id] then
      steps.close(one)
    else
      taken[one.spec.id] = true
      steps.connect(one)
    end
    tell(t, "wanted", one, one.wanted and 1 or 0)
  end
end

-- Who is not where it should be: nil when all is done.
local function unfinished(run)
  for _, one in ipairs(run.ones) do
    local state = one.client.state
    if one.wanted and state ~= "connected" then
      return ("%s is %s, and should be connected"):format(one.spec.name, state)
    elseif one.pending > 0 then
      return ("%s waits for the results of %d messages"):format(one.spec.name, one.pending)
    end
  end
end

local function is_finished(run)
  return not unfinished(run)
end

local function demand_liveness(run)
  if not task.wait_for(run, is_finished, M.LIVENESS_S * 1000000000, "the end of all that is pending") then
    failure.raise {
      message = ("no progress within %d s after everything was healed: %s"):format(M.LIVENESS_S, unfinished(run)),
    }
  end
end

local function settle(t, run)
  t:sleep(M.SETTLE_S)
  tell(t, "quiet", nil, 0, 1)
  t:sleep(M.QUIET_S)
  tell(t, "settled")
  tell(t, "quiet", nil, 0, 0)
  for _, one in ipairs(run.ones) do
    one.over, one.wanted = true, false
    tell(t, "wanted", one, 0)
    task.notify(one)
    if one.client.state == "connected" and one.rng:integer(1, 2) == 1 then -- the others end with the scenario
      one.client:disconnect()
    end
  end
end

--- Runs the case with the scenario's context.
function M.run(t, case)
  local broker = case.broker and t:builtin { name = "broker", queued_max = case.broker.queued } or t.broker
  local run = { case = case, broker = broker, broker_up = true, ones = {}, by_name = {}, rules = {} }
  for i, spec in ipairs(case.clients) do
    local one = new_one(t, spec, broker)
    one.owner = run
    run.ones[i], run.by_name[spec.name] = one, one
  end
  install_standing(run)
  for _, one in ipairs(run.ones) do
    t:spawn(keep_connected, t, one)
  end
  for _, one in ipairs(run.ones) do
    if not is_meddled_with(case, one) then
      tell(t, "sheltered", one, 1)
    end
  end
  local began_s = t:now()
  for _, event in ipairs(events_of(t, run)) do
    local wait_s = began_s + event.at / 1000 - t:now()
    if wait_s > 0 then
      t:sleep(wait_s)
    end
    event.act()
  end
  heal(t, run)
  demand_liveness(run)
  settle(t, run)
end

return M
