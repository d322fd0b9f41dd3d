-- draw: the case that a seed stands for. Each seed draws first which kinds of clients, steps and faults there are at all
-- (a swarm: many different mixtures find more than one that has everything), then how many and where. Every draw has a
-- place of its own in the seed, so that taking one thing out shifts no other.

local case_ = require "mqrig.explore.case"
local random = require "mqrig.random"

local M = {}

M.CLIENTS = { 1, 4 }
M.SPAN_MS = { 2000, 20000 }   -- in which steps and faults lie
M.MESSAGES = { 2, 24 }        -- of a client that publishes
M.FAULTS = { 1, 8 }
M.FLOOD_ONE_IN = 256          -- seeds in which a client uses up all packet identifiers
M.IDS = 65535

local TOPICS = { "t/1", "t/2", "t/3/x" }
local FILTERS = { "t/#", "t/1", "t/+", "t/2", "#" }
M.PACKETS = {
  up = { "CONNECT", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "PINGREQ", "DISCONNECT", "any" },
  down = { "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "PINGRESP", "any" },
}

-- Faults of a network and of programs that die: what TCP does to honest ends. Packets that are dropped or doubled would be
-- a peer's own fault, and break what the invariants promise.
M.ENDINGS = { "rst", "fin", "vanish", "close" }

local function one_of(rng, list)
  return list[rng:integer(1, #list)]
end

local function chance(rng, one_in)
  return rng:integer(1, one_in) == 1
end

local function draw_swarm(rng)
  local swarm = { qos = {}, endings = {} }
  for qos = 0, 2 do
    if chance(rng, 2) or qos == 2 and #swarm.qos == 0 then
      swarm.qos[#swarm.qos + 1] = qos
    end
  end
  for _, verb in ipairs(M.ENDINGS) do
    if chance(rng, 2) then
      swarm.endings[#swarm.endings + 1] = verb
    end
  end
  for name in ("kept retain will takeover small pings pieces slow partition stall now broker forget leave many"):gmatch
    "%S+" do
    swarm[name] = chance(rng, name == "forget" and 6 or 2)
  end
  return swarm
end

local function draw_client(seed, swarm, number)
  local name = "c" .. number
  local rng = random.new(seed, "client/" .. name)
  local client = { name = name, id = name, subscribe = {} }
  client.kept = swarm.kept and chance(rng, 2) or nil
  client.keepalive = swarm.pings and rng:integer(1, 10) or 60
  if swarm.small then
    client.maxinflight = chance(rng, 2) and rng:integer(1, 4) or nil
    client.maxbuffered = chance(rng, 2) and rng:integer(1, 6) or nil
  end
  if swarm.will and chance(rng, 2) then
    client.will, client.willretain = rng:integer(0, 2), swarm.retain and chance(rng, 2) or nil
  end
  for _ = 1, rng:integer(0, 2) do
    local filter = one_of(rng, FILTERS)
    if not client.subscribe[1] or client.subscribe[1][1] ~= filter then
      client.subscribe[#client.subscribe + 1] = { filter, rng:integer(0, 2) }
    end
  end
  return client
end

-- A second client under the identifier of another. Not of a session that is kept: two halves of one session, each with
-- its own idea of what is in flight, are a mistake of who does that.
local function draw_rival(seed, clients)
  local rng = random.new(seed, "takeover")
  local first = one_of(rng, clients)
  local rival = {}
  if first.kept then
    return
  end
  for key, value in pairs(first) do
    rival[key] = value
  end
  rival.name = "c" .. #clients + 1
  clients[#clients + 1] = rival
end

local function add_publishes(steps, seed, swarm, client, span_ms)
  local plan = random.new(seed, "publishes/" .. client.name)
  local count = chance(plan, 4) and 0 or plan:integer(M.MESSAGES[1], swarm.many and M.MESSAGES[2] or 8)
  for i = 1, count do
    local rng = random.new(seed, ("publish/%s/%d"):format(client.name, i))
    steps[#steps + 1] = {
      at = rng:integer(0, span_ms),
      who = client.name,
      verb = "publish",
      topic = one_of(rng, TOPICS),
      qos = one_of(rng, swarm.qos),
      size = chance(rng, 16) and 0 or chance(rng, 16) and rng:integer(1000, 100000) or rng:integer(1, 64),
      retain = swarm.retain and chance(rng, 3) or nil,
    }
  end
end

local function add_comings(steps, seed, swarm, client, span_ms)
  if not swarm.leave then
    return
  end
  local plan = random.new(seed, "comings/" .. client.name)
  for i = 1, plan:integer(0, 3) do
    local rng = random.new(seed, ("coming/%s/%d"):format(client.name, i))
    local at = rng:integer(0, span_ms)
    steps[#steps + 1] = { at = at, who = client.name, verb = chance(rng, 4) and "close" or "disconnect" }
    steps[#steps + 1] = { at = at + rng:integer(0, span_ms // 4), who = client.name, verb = "connect" }
  end
  if client.subscribe[1] and chance(plan, 3) then
    local topic = client.subscribe[1][1]
    steps[#steps + 1] = { at = plan:integer(0, span_ms), who = client.name, verb = "unsubscribe", topic = topic }
  end
end

local function add_broker(steps, seed, swarm, span_ms)
  if not swarm.broker then
    return
  end
  local rng = random.new(seed, "broker")
  for _ = 1, rng:integer(1, 2) do
    local at = rng:integer(0, span_ms)
    if chance(rng, 2) then
      steps[#steps + 1] = { at = at, who = "broker", verb = swarm.forget and "forget" or "restart" }
    else
      steps[#steps + 1] = { at = at, who = "broker", verb = "kill" }
      steps[#steps + 1] = { at = at + rng:integer(1, span_ms // 4), who = "broker", verb = "start" }
    end
  end
end

local function add_flood(steps, seed, clients, span_ms)
  local rng = random.new(seed, "flood")
  if chance(rng, M.FLOOD_ONE_IN) then
    local verb = { at = rng:integer(0, span_ms), who = one_of(rng, clients).name, verb = "flood", qos = 1 }
    verb.count = M.IDS + rng:integer(1, 3)
    steps[#steps + 1] = verb
  end
end

-- An ending at a byte of a packet.
local function draw_ending(rng, swarm, who)
  local direction = chance(rng, 2) and "up" or "down"
  local place = chance(rng, 3) and "" or chance(rng, 2) and ("at_byte %d "):format(rng:integer(0, 12))
    or chance(rng, 2) and "before " or "after_packet "
  return {
    who = who,
    verb = "rule",
    text = ("%s %s nth %d across %s%s may_fire"):format(direction, one_of(rng, M.PACKETS[direction]),
      rng:integer(1, 6), place, one_of(rng, swarm.endings)),
  }
end

local function draw_lasting(rng, swarm, who, span_ms)
  local at = rng:integer(0, span_ms)
  local verbs = {}
  if swarm.stall then
    verbs[#verbs + 1] = "stall"
  end
  if swarm.partition then
    table.move({ "partition", "oneway_up", "oneway_down" }, 1, 3, #verbs + 1, verbs)
  end
  return #verbs > 0 and { at = at, to = at + rng:integer(10, span_ms // 2), who = who, verb = one_of(rng, verbs) }
end

local function draw_fault(rng, swarm, who, span_ms)
  if #swarm.endings > 0 and chance(rng, 2) then
    return draw_ending(rng, swarm, who)
  elseif swarm.now and chance(rng, 2) then
    return { at = rng:integer(0, span_ms), who = who, verb = one_of(rng, { "rst", "fin", "vanish" }) }
  end
  return draw_lasting(rng, swarm, who, span_ms)
end

-- For the whole run.
local function add_standing(faults, seed, swarm, client)
  local rng = random.new(seed, "standing/" .. client.name)
  local function add(verb, text)
    faults[#faults + 1] = { who = client.name, verb = verb, text = text }
  end
  if swarm.slow and chance(rng, 2) then
    local low = rng:integer(0, 100)
    add("latency", ("uniform(%dms,%dms)"):format(low, low + rng:integer(1, 200)))
  end
  if swarm.slow and chance(rng, 4) then
    add("loss", ("1/%d"):format(rng:integer(4, 50)))
  end
  if swarm.pieces and chance(rng, 2) then
    add("rule", ("both bytes split %d 1ms may_fire"):format(rng:integer(1, 9)))
  end
end

local function draw_faults(seed, swarm, clients, span_ms)
  local faults = {}
  local plan = random.new(seed, "faults")
  for _, client in ipairs(clients) do
    add_standing(faults, seed, swarm, client)
  end
  for i = 1, plan:integer(M.FAULTS[1], M.FAULTS[2]) do
    local rng = random.new(seed, "fault/" .. i)
    faults[#faults + 1] = draw_fault(rng, swarm, one_of(rng, clients).name, span_ms) or nil
  end
  return faults
end

--- Faults for a scenario that has its own workload: of its clients by their names, within the time that it takes.
function M.faults(seed, names, span_ms)
  local clients = {}
  for i, name in ipairs(names) do
    clients[i] = { name = name }
  end
  return draw_faults(seed, draw_swarm(random.new(seed, "swarm")), clients, span_ms)
end

--- The case of a seed.
function M.case(seed)
  local plan = random.new(seed, "plan")
  local swarm = draw_swarm(random.new(seed, "swarm"))
  local span_ms = plan:integer(M.SPAN_MS[1], M.SPAN_MS[2])
  local clients, steps = {}, {}
  for number = 1, plan:integer(M.CLIENTS[1], M.CLIENTS[2]) do
    clients[number] = draw_client(seed, swarm, number)
  end
  if swarm.takeover then
    draw_rival(seed, clients)
  end
  for _, client in ipairs(clients) do
    add_publishes(steps, seed, swarm, client, span_ms)
    add_comings(steps, seed, swarm, client, span_ms)
  end
  add_broker(steps, seed, swarm, span_ms)
  add_flood(steps, seed, clients, span_ms)
  case_.sort_in_time(steps)
  local broker = swarm.small and chance(plan, 2) and { queued = plan:integer(1, 12) } or nil
  return { broker = broker, clients = clients, steps = steps, faults = draw_faults(seed, swarm, clients, span_ms) }
end

return M
