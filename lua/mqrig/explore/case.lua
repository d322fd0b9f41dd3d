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
  restart = {}, kill = {}, start = {}, forget = {}, pause = {}, resume = {},
}
local STEP_ORDER = { "qos", "size", "count", "retain" }

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
  if STEPS[step.verb][1] then
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
    return reader:number(name)
  end
  return reader:need(name)
end

local function read_client(reader)
  local client = { name = reader:need "the client's name", subscribe = {} }
  client.id = client.name
  for word in Reader.next, reader do
    local kind = CLIENT_WORDS[word] or unknown(word, "word of a client", near.keys(CLIENT_WORDS))
    if kind == "filter" then
      client.subscribe[#client.subscribe + 1] = { reader:need "the filter", reader:number "its QoS" }
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
  local known = STEPS[step.verb] or unknown(step.verb, "step", near.keys(STEPS))
  if known[1] then
    step.topic = reader:need "the topic"
  end
  for word in Reader.next, reader do
    local kind = known[word] or unknown(word, "word of " .. step.verb, STEP_ORDER)
    step[word] = read_value(reader, word, kind)
  end
  return step
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
  elseif reader:rest() ~= "" then
    error("there is more behind the fault", 0)
  end
  return fault
end

local function read_line(case, line)
  local reader = setmetatable({ text = line, at = 1 }, Reader)
  local word = reader:next()
  if word == "client" then
    table.insert(case.clients, read_client(reader))
  elseif word == "broker" then
    case.broker = read_broker(reader)
  elseif word == "fault" then
    table.insert(case.faults, read_fault(reader))
  elseif word:find "^%d" then
    table.insert(case.steps, read_step(reader, read_time(word)))
  else
    unknown(word, "beginning of a line", { "broker", "client", "fault", "120ms" })
  end
end

--- The case of a list of lines, or nil and a sentence. `first`: the number of the first of them in its file.
function M.parse(lines, first)
  local case = { clients = {}, steps = {}, faults = {} }
  if #lines > M.LINES_MAX then
    return nil, ("there are more than %d lines"):format(M.LINES_MAX)
  end
  for i, line in ipairs(lines) do
    if line:find "%S" and not line:find "^%s*#" then
      local ok, sentence = pcall(read_line, case, line)
      if not ok then
        return nil, ("line %d: %s"):format(i + (first or 1) - 1, sentence)
      end
    end
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
