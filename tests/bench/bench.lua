-- The benchmark's cells, run in turns, and its report. Called by tests/bench/run, whose header says how to read it.
package.path = "tests/bench/?.lua;" .. package.path
local programs = require "programs"
local report = require "report"

local quick = false
for _, argument in ipairs(arg) do
  if argument ~= "--quick" then
    io.stderr:write("usage: tests/bench/run [--quick]\n")
    os.exit(2)
  end
  quick = true
end

local REPEATS = quick and 1 or 3
local PUBLISH_REPEATS = quick and 1 or 7 -- these are short, and what else the machine does shows in them most
local FILL_REPEATS = 9                   -- of mqrig, tens of milliseconds each
local WINDOW, SIZE, STEP, REFUSALS = 20, 16, 500, 50000
local LEVELS = { 1000, 10000, 65535 }
local PAHO_LEVELS = quick and { 1000, 10000 } or LEVELS
local PAHO_FILL_LIMIT_S = quick and 120 or 900
local COUNTS = { -- messages a run, for each QoS
  mqrig = { [0] = 300000, 60000, 30000 },
  mosquitto = { [0] = 300000, 60000, 30000 },
  paho = { [0] = 40000, 20000, 10000 },
}

local function progress(...) io.stderr:write(string.format(...), "\n") end

-- fn(repeat) for each of the names in turn, again and again: a list of records for each name.
local function in_turns(names, repeats, fn)
  local results = {}
  for i = 1, repeats do
    for _, name in ipairs(names) do
      results[name] = results[name] or {}
      table.insert(results[name], fn(name, i))
    end
  end
  return results
end

local function publish_cells(broker)
  local cells = {}
  for qos = 0, 2 do
    cells[qos] = in_turns({ "mqrig", "mosquitto", "paho" }, PUBLISH_REPEATS, function(name, i)
      local count = COUNTS[name][qos] // (quick and 3 or 1)
      progress("publish at QoS %d, %s, %d of %d", qos, name, i, PUBLISH_REPEATS)
      if name == "mqrig" then
        return programs.mqrig("publish", broker.port, { qos = qos, count = count, window = WINDOW, size = SIZE })
      end
      local program = name == "mosquitto" and "mosquittopeer publish" or "pahopublish"
      return programs.peer(60, ("%s %d %d %d %d %d"):format(program, broker.port, qos, count, WINDOW, SIZE))
    end)
  end
  return cells
end

local function marks(levels)
  local list = {}
  for _, level in ipairs(levels) do
    list[#list + 1] = level - STEP
    list[#list + 1] = level
  end
  list[#list + 1] = levels[#levels] - 1 -- Paho C writes no more
  return table.concat(list, " ")
end

local function fill_cells()
  local cells = in_turns({ "mqrig" }, FILL_REPEATS, function(_, i)
    progress("65,535 in flight, mqrig, %d of %d", i, FILL_REPEATS)
    return programs.with_stub(marks(LEVELS), function(port)
      local levels = table.concat(LEVELS, ",")
      return programs.mqrig("fill", port, { levels = levels, step = STEP, refusals = REFUSALS, size = SIZE })
    end)
  end)
  progress("%d in flight, paho, once, %d s at most", PAHO_LEVELS[#PAHO_LEVELS], PAHO_FILL_LIMIT_S)
  cells.paho = {
    programs.with_stub(marks(PAHO_LEVELS), function(port)
      return programs.peer(PAHO_FILL_LIMIT_S,
        ("pahofill %d %d %d %d %s"):format(port, SIZE, quick and 0 or 1, STEP, table.concat(PAHO_LEVELS, " ")))
    end),
  }
  return cells
end

local function start_cells()
  local runs = quick and 5 or 20
  progress("from start to the first PUBLISH, %d runs each", runs)
  return {
    mqrig = programs.first(runs, programs.program .. " run tests/bench/first.lua --broker mqtt://127.0.0.1:@PORT"),
    mosquitto = programs.first(runs, programs.folder .. "mosquittopeer publish @PORT 1 1 20 16"),
    paho = programs.first(runs, programs.folder .. "pahopublish @PORT 1 1 20 16"),
  }
end

local function idle_cells(broker)
  return in_turns({ "mqrig", "mosquitto" }, REPEATS, function(name, i)
    progress("1,000 idle clients, %s, %d of %d", name, i, REPEATS)
    if name == "mqrig" then return programs.mqrig("idle", broker.port, { clients = 1000 }) end
    return programs.peer(60, ("mosquittopeer idle %d 1000"):format(broker.port))
  end)
end

-- Over TLS: the same publishing, connects, and memory.
local function tls_cells(broker)
  local cells = { publish = {} }
  for qos = 0, 1 do
    cells.publish[qos] = in_turns({ "mqrig", "mosquitto" }, REPEATS, function(name, i)
      progress("publish at QoS %d over TLS, %s, %d of %d", qos, name, i, REPEATS)
      local count = COUNTS[name][qos] // (quick and 3 or 1)
      if name == "mqrig" then
        local params = { qos = qos, count = count, window = WINDOW, size = SIZE }
        return programs.mqrig("publish", broker.port, params, broker.ca)
      end
      return programs.peer(60, ("mosquittopeer publish %d %d %d %d %d"):format(broker.port, qos, count, WINDOW, SIZE),
        broker.ca)
    end)
  end
  cells.connect = in_turns({ "mqrig", "mosquitto" }, REPEATS, function(name, i)
    progress("connects over TLS, %s, %d of %d", name, i, REPEATS)
    local count = quick and 100 or 300
    if name == "mqrig" then return programs.mqrig("connect", broker.port, { count = count }, broker.ca) end
    return programs.peer(60, ("mosquittopeer connect %d %d"):format(broker.port, count), broker.ca)
  end)
  cells.idle = in_turns({ "mqrig", "mosquitto" }, REPEATS, function(name, i)
    progress("1,000 idle clients over TLS, %s, %d of %d", name, i, REPEATS)
    if name == "mqrig" then return programs.mqrig("idle", broker.port, { clients = 1000 }, broker.ca) end
    return programs.peer(60, ("mosquittopeer idle %d 1000"):format(broker.port), broker.ca)
  end)
  return cells
end

local broker <close> = programs.mosquitto()
local secure <close> = programs.secure_mosquitto()
local results = {
  quick = quick,
  repeats = REPEATS,
  publish_repeats = PUBLISH_REPEATS,
  fill_repeats = FILL_REPEATS,
  levels = LEVELS,
  paho_levels = PAHO_LEVELS,
  paho_limit_s = PAHO_FILL_LIMIT_S,
  starts = start_cells(),
  publish = publish_cells(broker),
  idle = idle_cells(broker),
  fill = fill_cells(),
  tls = tls_cells(secure),
}
local text = report.markdown(results)
io.write(text)
local file <close> = assert(io.open(programs.folder .. "report.md", "w"))
file:write(text)
