-- sweep: a fault experiment: one body run for each combination of parameters, and a CSV file with a row for each run.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local near = require "mqrig.near"
local object = require "mqrig.object"
local paths = require "mqrig.paths"
local play = require "mqrig.play"
local rule = require "mqrig.rule"
local show = require "mqrig.show"
local task = require "mqrig.task"
local text = require "mqrig.text"

local M = {}

M.RUNS_MAX = 1000000
M.SETTLE_NS = 1000000000 -- how long a run waits for what is under way when its body has returned

local known = blame.set "over runs file columns settle"
local send_known = blame.set "qos retain"

local MEASURED = {
  "seconds", "sent", "ok", "codes", "pending", "ack_p50_ms", "ack_p95_ms", "ack_max_ms", "delivered", "duplicates",
  "missing", "delivery_p50_ms", "delivery_p95_ms", "delivery_max_ms",
}

-- Runs.

local Run = {}
local computed = {}

local function key_of(topic, payload)
  return topic .. "\0" .. payload
end

--- Publishes; the result and the time until it are measured. Returns a table whose `code` is there once it is known.
function Run:send(client, topic, payload, options)
  options = blame.options(options, send_known, "run:send")
  local record = { began_ns = core.now() }
  self.records[#self.records + 1] = record
  local key = key_of(topic, payload)
  self.began[key] = self.began[key] or record.began_ns
  local function done(code)
    record.code, record.ack_ns = code, core.now() - record.began_ns
    task.notify(self)
  end
  if client.state ~= "connected" then
    done(core.mqtt.ERROR_DISCONNECTED)
  else
    local message = blame.call(client.mqtt.createmessage, client.mqtt, topic, payload, options)
    blame.call(message.sendasync, message, done)
  end
  return record
end

--- Counts the messages that come to this client from now on.
function Run:watch(client)
  client.mqtt:onmessage(function(message)
    local key = key_of(message.topic, message.message)
    local count = (self.arrived[key] or 0) + 1
    self.arrived[key] = count
    if count > 1 then
      self.counts.duplicates = self.counts.duplicates + 1
    else
      self.counts.delivered = self.counts.delivered + 1
      self.delivery_ns[#self.delivery_ns + 1] = self.began[key] and core.now() - self.began[key]
    end
    task.notify(self)
  end)
end

local function is_settled(self)
  if self.counts.delivered < #self.records then
    return false
  end
  for _, record in ipairs(self.records) do
    if not record.code then
      return false
    end
  end
  return true
end

local within_known = blame.set "within"

--- Waits until every send has its result and has arrived, or the time is over; says whether it has.
function Run:settle(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "run:settle"), "run:settle")
  return task.wait_for(self, is_settled, within_ns, "the end of a run")
end

--- Puts a value into a column of the sweep's `columns`.
function Run:note(column, value)
  if self.noted[column] == nil then
    local hint = near.suggest(column, self.columns) or "name it in the sweep's columns"
    blame.raise(("run:note: there is no column %s, %s"):format(show.value(column), hint))
  end
  self.noted[column] = value
end

function computed:delivered()
  return self.counts.delivered
end

function computed:duplicates()
  return self.counts.duplicates
end

M.run_meta = object.class("run", Run, computed, "number params", "waiters")

local function new_run(number, params, columns)
  local noted = {}
  for _, name in ipairs(columns) do
    noted[name] = ""
  end
  return setmetatable({
    number = number,
    params = params,
    columns = columns,
    noted = noted,
    records = {},
    began = {},
    arrived = {},
    counts = { delivered = 0, duplicates = 0 },
    delivery_ns = {},
  }, M.run_meta)
end

-- Rows.

local function milliseconds(list, part)
  if #list == 0 then
    return ""
  end
  return ("%.3f"):format(list[math.max(1, math.ceil(part * #list))] / 1e6)
end

local function put_times(row, name, list)
  table.sort(list)
  row[name .. "_p50_ms"] = milliseconds(list, 0.5)
  row[name .. "_p95_ms"] = milliseconds(list, 0.95)
  row[name .. "_max_ms"] = milliseconds(list, 1)
end

-- "0:18 -11:2": each code and how many had it.
local function codes_text(counts)
  local codes = {}
  for code in next, counts do
    codes[#codes + 1] = code
  end
  table.sort(codes, function(a, b)
    return a > b
  end)
  for i, code in ipairs(codes) do
    codes[i] = ("%d:%d"):format(code, counts[code])
  end
  return table.concat(codes, " ")
end

local function row_of(run, began_ns)
  local row = { run = run.number, sent = #run.records, seconds = ("%.6f"):format((core.now() - began_ns) / 1e9) }
  local counts, times, known_codes = {}, {}, 0
  for _, record in ipairs(run.records) do
    if record.code then
      known_codes = known_codes + 1
      counts[record.code] = (counts[record.code] or 0) + 1
      times[#times + 1] = record.code == 0 and record.ack_ns or nil
    end
  end
  row.ok, row.codes, row.pending = counts[0] or 0, codes_text(counts), #run.records - known_codes
  put_times(row, "ack", times)
  put_times(row, "delivery", run.delivery_ns)
  row.delivered, row.duplicates = run.counts.delivered, run.counts.duplicates
  row.missing = math.max(0, #run.records - row.delivered)
  for _, values in ipairs { run.params, run.noted } do
    for name, value in next, values do
      row[name] = value
    end
  end
  return row
end

local function cell(value)
  local s = type(value) == "string" and value or show.value(value)
  return s:find '[",\r\n]' and '"' .. s:gsub('"', '""') .. '"' or s
end

local function write_line(file, header, row)
  local cells = {}
  for i, name in ipairs(header) do
    cells[i] = cell(row and row[name] or name)
  end
  file:write(table.concat(cells, ","), "\n")
end

-- Combinations: the last name varies fastest.

local function check_over(over)
  local total = 1
  if type(over) ~= "table" or next(over) == nil then
    blame.raise "t:sweep: over is a table of names and lists of values: over = { qos = { 0, 1, 2 } }"
  end
  for name, values in next, over do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" or type(values) ~= "table" or #values == 0 then
      blame.raise(("t:sweep: over.%s is no list of values"):format(tostring(name)))
    end
    total = total * #values
  end
  return near.keys(over), total
end

local function combination(over, names, index)
  local params = {}
  for i = #names, 1, -1 do
    local values = over[names[i]]
    params[names[i]] = values[index % #values + 1]
    index = index // #values
  end
  return params
end

local function header_of(names, columns)
  local header, seen = { "run" }, { run = true }
  for _, list in ipairs { names, MEASURED, columns } do
    for _, name in ipairs(list) do
      if seen[name] then
        blame.raise(("t:sweep: there are two columns %s"):format(show.value(name)))
      end
      seen[name] = true
      header[#header + 1] = name
    end
  end
  return header
end

local function open_file(t, path)
  path = path or paths.join(paths.join(t.out, "experiments"), text.slug(t.name) .. ".csv")
  local folder = path:match "^(.*)/[^/]*$"
  local ok, why = true, nil
  if folder and folder ~= "" then
    ok, why = core.make_directory(folder)
  end
  local file
  if ok then
    file, why = io.open(path, "w")
  end
  if not file then
    failure.raise { message = ("t:sweep cannot write %s: %s"):format(path, why), environment = true }
  end
  file:setvbuf "line"
  return file, path
end

-- What a run made is closed behind it; what its rules and plays owe is due at its end.
local function settle_debts(t, marks)
  play.finish(table.move(t.plays, marks.plays + 1, #t.plays, 1, {}))
  local handle, why = rule.unmet(table.move(t.rules, marks.rules + 1, #t.rules, 1, {}))
  if handle then
    failure.raise { message = why, file = handle.file, line = handle.line }
  end
  for _, name in ipairs { "plays", "rules", "builders" } do
    for i = #t[name], marks[name] + 1, -1 do
      t[name][i] = nil
    end
  end
  for i = #t.owned, marks.owned + 1, -1 do
    local thing = table.remove(t.owned, i)
    thing:close()
  end
end

local function one_run(t, sweep, number)
  local marks = { plays = #t.plays, rules = #t.rules, builders = #t.builders, owned = #t.owned }
  local params = combination(sweep.over, sweep.names, (number - 1) // sweep.runs)
  local run = new_run(number, params, sweep.columns)
  local began_ns = core.now()
  sweep.fn(run, params)
  task.wait_for(run, is_settled, sweep.settle_ns, "the end of a run")
  local row = row_of(run, began_ns)
  settle_debts(t, marks)
  return row
end

local function prepare(t, options, fn)
  options = blame.options(options, known, "t:sweep")
  if type(fn) ~= "function" then
    blame.raise(("t:sweep takes options and a function, not a %s"):format(type(fn)))
  end
  local names, total = check_over(options.over)
  local runs = options.runs or 1
  if math.type(runs) ~= "integer" or runs < 1 or runs * total > M.RUNS_MAX then
    blame.raise(("t:sweep: %s runs of %d combinations are not from 1 to %d runs"):format(show.value(runs), total,
      M.RUNS_MAX))
  end
  local sweep = { over = options.over, names = names, runs = runs, total = runs * total, fn = fn }
  sweep.columns = options.columns or {}
  sweep.header = header_of(names, sweep.columns)
  sweep.settle_ns = options.settle == nil and M.SETTLE_NS or blame.duration_ns(options.settle, "t:sweep: settle")
  sweep.file, sweep.path = open_file(t, options.file)
  return sweep
end

local function run_all(t, sweep)
  local rows = { file = sweep.path }
  local file <close> = sweep.file
  write_line(file, sweep.header)
  for number = 1, sweep.total do
    t.progress(("%s: run %d of %d"):format(t.name, number, sweep.total))
    rows[number] = one_run(t, sweep, number)
    write_line(file, sweep.header, rows[number])
  end
  return rows
end

--- Runs fn(run, params) for every combination; returns the rows, and the path of the CSV file as rows.file.
function M.run(t, options, fn)
  local sweep = prepare(t, options, fn)
  local _ = t.broker -- it outlives the runs
  local rows = run_all(t, sweep)
  t:log(("%d runs written to %s"):format(sweep.total, sweep.path))
  return rows
end

return M
