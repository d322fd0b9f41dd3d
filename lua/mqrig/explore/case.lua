-- case: one experiment as data: clients, what they do and when, and which faults happen. A case has a text form, a line
-- for each thing, which replay files are made of, and which can be edited by hand:
--
--   broker queued 20
--   client c1 id fleet-1 keepalive 30 subscribe a/# 1
--   120ms c1 publish a/1 qos 1 size 16
--   500ms broker restart
--   fault 700ms c1 rst
--   fault c1 rule up PUBLISH nth 3 across at_byte 7 rst
--   fault 1000ms to 2500ms c1 partition
--   fault c1 latency uniform(5ms,40ms)
--
-- Times count from the beginning of the run, in milliseconds. A line that begins with # is a comment.

local core = require "mqrig.core"
local near = require "mqrig.near"

local M = {}

M.LINES_MAX = 100000
M.TIME_MAX_MS = 7 * 86400 * 1000

-- How a word's value is written and read: true: none, the word alone; else what it is called in an error.
local CLIENT_WORDS = {
  id = "text", keepalive = "number", kept = true, maxinflight = "number", maxbuffered = "number", will = "number",
  willretain = true, subscribe = "filter",
}
local BROKER_WORDS = { queued = "number" }
local CLIENT_ORDER = { "id", "keepalive", "kept", "maxinflight", "maxbuffered", "will", "willretain" }

-- verb -> its words, in order; the first without a name stands right behind the verb.
local STEPS = {
  publish = { "topic", qos = "number", size = "number", retain = true },
  subscribe = { "topic", qos = "number" },
  unsubscribe = { "topic" },
  connect = {}, disconnect = {}, close = {},
  flood = { qos = "number", count = "number" },
}
local BROKER_STEPS = { restart = {}, kill = {}, start = {}, forget = {} }
local STEP_ORDER = { "qos", "size", "count", "retain" }

-- What a number may be.
local RANGES = {
  keepalive = { 0, 65535 }, maxinflight = { 1, 65535 }, maxbuffered = { 0, 1 << 31 }, will = { 0, 2 }, qos = { 0, 2 },
  size = { 0, 256 << 10 }, count = { 1, 1 << 20 }, queued = { 0, 2147483647 },
}

-- Faults that happen at a time; those that last have `to`; those that stand for the whole run have no time.
M.AT_ONCE = { rst = true, fin = true, vanish = true }
M.LASTING = { partition = true, oneway_up = true, oneway_down = true, stall = true }
M.STANDING = { rule = true, latency = true, loss = true, rate = true }

local function names_of(...)
  local list = {}
  for i = 1, select("#", ...) do
    table.move(near.keys((select(i, ...))), 1, #near.keys((select(i, ...))), #list + 1, list)
  end
  return list
end

-- Printing.

local function add_words(words, order, from)
  for _, name in ipairs(order) do
    local value = from[name]
    if value == true then
      words[#words + 1] = name
    elseif value then
      words[#words + 1] = name .. " " .. tostring(value)
    end
  end
  return table.concat(words, " ")
end

local function client_line(client)
  local line = add_words({ "client " .. client.name }, CLIENT_ORDER, client)
  for _, subscription in ipairs(client.subscribe) do
    line = line .. (" subscribe %s %d"):format(subscription[1], subscription[2])
  end
  return line
end

local function step_line(step)
  local words = { ("%dms %s %s"):format(step.at, step.who, step.verb) }
  if step.topic then
    words[2] = step.topic
  end
  return add_words(words, STEP_ORDER, step)
end

--- The line of a fault, without the word `fault`: what a report says of it.
function M.fault_text(fault)
  if not fault.at then
    return ("%s %s %s"):format(fault.who, fault.verb, fault.text)
  elseif fault.to then
    return ("%dms to %dms %s %s"):format(fault.at, fault.to, fault.who, fault.verb)
  end
  return ("%dms %s %s"):format(fault.at, fault.who, fault.verb)
end

--- The lines of a case.
function M.lines(case)
  local lines = {}
  if case.broker then
    lines[1] = add_words({ "broker" }, near.keys(BROKER_WORDS), case.broker)
  end
  for _, client in ipairs(case.clients) do
    lines[#lines + 1] = client_line(client)
  end
  for _, step in ipairs(case.steps) do
    lines[#lines + 1] = step_line(step)
  end
  for _, fault in ipairs(case.faults) do
    lines[#lines + 1] = "fault " .. M.fault_text(fault)
  end
  return lines
end

-- Parsing. A reader raises { column-free sentence } by error(..., 0); `parse` puts the line's number in front.

local Reader = {}
Reader.__index = Reader

function Reader:next()
  local word, behind = self.text:match("^%s*(%S+)()", self.at)
  self.at = behind or #self.text + 1
  return word
end

function Reader:need(what)
  return self:next() or error(("%s is missing at its end"):format(what), 0)
end

function Reader:number(what)
  local word = self:need(what)
  return math.tointeger(tonumber(word)) or error(('%s is a whole number, not "%s"'):format(what, word), 0)
end

-- A number that `name` can be, called `what` in an error (`name`).
function Reader:in_range(name, what)
  local n, range = self:number(what or name), RANGES[name]
  if n < range[1] or n > range[2] then
    error(("%s is from %d to %d, not %d"):format(what or name, range[1], range[2], n), 0)
  end
  return n
end

function Reader:rest()
  local text = self.text:sub(self.at):match "^%s*(.-)%s*$"
  self.at = #self.text + 1
  return text
end

local function unknown(word, what, names)
  local hint = near.suggest(word, names) or "known: " .. table.concat(names, ", ")
  error(('"%s" is no %s, %s'):format(word, what, hint), 0)
end

local function read_time(word)
  local n = math.tointeger(tonumber(word and word:match "^(%d+)ms$"))
  if not n or n > M.TIME_MAX_MS then
    error(('a time is written in milliseconds, as in 120ms, not "%s"'):format(tostring(word)), 0)
  end
  return n
end

local function read_value(reader, name, kind)
  if kind == true then
    return true
  elseif kind == "number" then
    return reader:in_range(name)
  end
  return reader:need(name)
end

local function read_client(reader)
  local client = { name = reader:need "the client's name", subscribe = {} }
  client.id = client.name
  for word in Reader.next, reader do
    local kind = CLIENT_WORDS[word] or unknown(word, "word of a client", near.keys(CLIENT_WORDS))
    if kind == "filter" then
      client.subscribe[#client.subscribe + 1] = { reader:need "the filter", reader:in_range("qos", "its QoS") }
    else
      client[word] = read_value(reader, word, kind)
    end
  end
  return client
end

local function read_broker(reader)
  local broker = {}
  for word in Reader.next, reader do
    local kind = BROKER_WORDS[word] or unknown(word, "word of the broker", near.keys(BROKER_WORDS))
    broker[word] = read_value(reader, word, kind)
  end
  return broker
end

local function read_step(reader, at)
  local step = { at = at, who = reader:need "who", verb = reader:need "what is done" }
  local steps, what = STEPS, "step"
  if step.who == "broker" then
    steps, what = BROKER_STEPS, "step of the broker"
  end
  local known = steps[step.verb] or unknown(step.verb, what, near.keys(steps))
  if known[1] then
    step.topic = reader:need "the topic"
  end
  if step.verb == "publish" and step.topic:find "[+#]" then
    error(('"%s" is a filter, and messages go to a topic'):format(step.topic), 0)
  end
  for word in Reader.next, reader do
    local kind = known[word] or unknown(word, "word of " .. step.verb, STEP_ORDER)
    step[word] = read_value(reader, word, kind)
  end
  return step
end

-- What a fault of the whole run says, raised where it is wrong.
local function check_text(fault)
  if fault.verb ~= "rule" then
    require("mqrig.explore.network").check(fault.verb, fault.text)
    return
  end
  local known, sentence = core.rule_check(fault.text)
  if not known then
    error(("the rule, at %s"):format(sentence), 0)
  end
end

local function read_fault(reader)
  local fault = {}
  local word = reader:need "a time or who"
  if word:find "^%d" then
    fault.at, word = read_time(word), reader:need "who"
    if word == "to" then
      fault.to, word = read_time(reader:next()), reader:need "who"
    end
  end
  fault.who, fault.verb = word, reader:need "the fault"
  local known = not fault.at and M.STANDING or fault.to and M.LASTING or M.AT_ONCE
  if not known[fault.verb] then
    unknown(fault.verb, not fault.at and "fault without a time" or fault.to and "fault from a time to a time"
      or "fault at a time", names_of(known))
  end
  if not fault.at then
    fault.text = reader:rest()
    check_text(fault)
  elseif fault.to and fault.to < fault.at then
    error("it ends before it begins", 0)
  elseif reader:rest() ~= "" then
    error("there is more behind the fault", 0)
  end
  return fault
end

local function add_client(case, client)
  for _, other in ipairs(case.clients) do
    if other.name == client.name then
      error(("there is a client %s already"):format(client.name), 0)
    end
  end
  table.insert(case.clients, client)
end

-- Adds what the line says; returns who does it, or to whom it happens.
local function read_line(case, line)
  local reader = setmetatable({ text = line, at = 1 }, Reader)
  local word = reader:next()
  if word == "client" then
    add_client(case, read_client(reader))
  elseif word == "broker" then
    case.broker = read_broker(reader)
  elseif word == "fault" then
    table.insert(case.faults, read_fault(reader))
    return case.faults[#case.faults].who
  elseif word:find "^%d" then
    table.insert(case.steps, read_step(reader, read_time(word)))
    return case.steps[#case.steps].who
  else
    unknown(word, "beginning of a line", { "broker", "client", "fault", "120ms" })
  end
end

-- The first line that is about a client that there is not: its number and a sentence. A case without clients is about
-- those of a scenario.
local function find_stranger(case, named)
  local names, known = {}, { broker = true }
  for i, client in ipairs(case.clients) do
    names[i], known[client.name] = client.name, true
  end
  for _, one in ipairs(#names > 0 and named or {}) do
    if not known[one.who] then
      return one.line, ("there is no client %s, known: %s"):format(one.who, table.concat(names, ", "))
    end
  end
end

--- The case of a list of lines, or nil and a sentence. `first`: the number of the first of them in its file.
function M.parse(lines, first)
  local case, named = { clients = {}, steps = {}, faults = {} }, {}
  if #lines > M.LINES_MAX then
    return nil, ("there are more than %d lines"):format(M.LINES_MAX)
  end
  for i, line in ipairs(lines) do
    if line:find "%S" and not line:find "^%s*#" then
      local number = i + (first or 1) - 1
      local ok, who = pcall(read_line, case, line)
      if not ok then
        return nil, ("line %d: %s"):format(number, who)
      elseif who then
        named[#named + 1] = { who = who, line = number }
      end
    end
  end
  local number, sentence = find_stranger(case, named)
  if number then
    return nil, ("line %d: %s"):format(number, sentence)
  end
  return case
end

--- Sorts by `at`; what is at one time stays in its order.
function M.sort_in_time(list)
  local order = {}
  for i, one in ipairs(list) do
    order[one] = i
  end
  table.sort(list, function(a, b)
    if a.at ~= b.at then
      return a.at < b.at
    end
    return order[a] < order[b]
  end)
  return list
end

return M
