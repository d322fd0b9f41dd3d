-- report: the results as Markdown: medians, ratios, and which aims they meet.
local find = require("programs").find
local output = require("programs").output

local M = {}

local AIM_FASTER, AIM_START_MS, AIM_MIB = 1000, 15, 16

local function median(list)
  table.sort(list)
  local middle = (#list + 1) // 2
  return #list % 2 == 1 and list[middle] or (list[middle] + list[middle + 1]) / 2
end

-- The median over the runs of value(records); runs without one do not count. nil if there is none.
local function over(runs, value)
  local list = {}
  for _, records in ipairs(runs or {}) do
    list[#list + 1] = value(records)
  end
  return #list > 0 and median(list) or nil
end

local function number(value, format)
  return value and (format or "%.2f"):format(value) or "-"
end

local function ratio(ours, theirs)
  return ours and theirs and ("%.2f"):format(ours / theirs) or "-"
end

local function times(theirs, ours)
  if not ours or not theirs then return "-" end
  local value = theirs / ours
  return (value >= 100 and "%.0f×" or "%.1f×"):format(value)
end

local function table_of(lines, heads, rows)
  lines[#lines + 1] = "| " .. table.concat(heads, " | ") .. " |"
  lines[#lines + 1] = "|" .. (" --- |"):rep(#heads)
  for _, row in ipairs(rows) do lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |" end
  lines[#lines + 1] = ""
end

local function field(record, key) return record and record[key] end

local function per_million(records)
  local run = find(records, "cpu_s")
  return run.cpu_s / run.count * 1e6
end

local function whole_per_million(records)
  return find(records, "whole_cpu_s").whole_cpu_s / find(records, "cpu_s").count * 1e6
end

local function rate(records)
  local run = find(records, "wall_s")
  return run.count / run.wall_s
end

local function publish(lines, results, aims)
  lines[#lines + 1] = "## Publishing through mosquitto: CPU seconds for a million messages\n\n" ..
    ("16 bytes, window 20, one client, medians of %d. Whole process in brackets.\n"):format(results.publish_repeats)
  local rows = {}
  for qos = 0, 2 do
    local cpu, row = {}, { tostring(qos) }
    for _, name in ipairs { "mqrig", "mosquitto", "paho" } do
      local runs = results.publish[qos][name]
      cpu[name] = over(runs, per_million)
      row[#row + 1] = ("%.2f (%.2f)"):format(cpu[name], over(runs, whole_per_million))
    end
    row[#row + 1] = ratio(cpu.mqrig, cpu.mosquitto)
    row[#row + 1] = ratio(cpu.mqrig, cpu.paho)
    row[#row + 1] = ("%.0f, %.0f, %.0f"):format(over(results.publish[qos].mqrig, rate),
      over(results.publish[qos].mosquitto, rate), over(results.publish[qos].paho, rate))
    rows[#rows + 1] = row
    aims[#aims + 1] = { ("CPU at QoS %d below libmosquitto's"):format(qos), ratio(cpu.mqrig, cpu.mosquitto),
      cpu.mqrig < cpu.mosquitto }
  end
  local heads = { "QoS", "mqrig", "libmosquitto", "Paho C", "mqrig / libmosquitto", "mqrig / Paho C" }
  heads[#heads + 1] = "messages/s of the three"
  table_of(lines, heads, rows)
end

-- Microseconds a message, of the record with that key and value. Of mqrig, with its one thread, by the clock: half a
-- millisecond is less than the system's account of CPU resolves.
local function cost(runs, field_name, key, value)
  return over(runs, function(records)
    local record = find(records, key, value)
    return record and record[field_name] / record.count * 1e6
  end)
end

local function total(runs, level, key)
  return over(runs, function(records) return field(find(records, "filled", level), key) end)
end

local function fill(lines, results, aims)
  local ours, paho, rows = results.fill.mqrig, results.fill.paho, {}
  local top = results.levels[#results.levels]
  lines[#lines + 1] = "## Packet identifiers at full scale\n\nQoS 1, 16 bytes, a broker that never acknowledges. " ..
    ("Medians of %d; Paho C once, with a limit of %d s.\n"):format(results.fill_repeats, results.paho_limit_s)
  local function row(name, mine, theirs, format)
    rows[#rows + 1] = { name, number(mine, format), number(theirs, format), times(theirs, mine) }
  end
  local wall, paho_wall = total(ours, top, "wall_s"), total(paho, top, "wall_s")
  local late = find(paho[1], "status").status == 124
  row("time to 65,535 in flight, s", wall, paho_wall, "%.3f")
  row("CPU to 65,535 in flight, s", total(ours, top, "cpu_s"), total(paho, top, "cpu_s"), "%.3f")
  for _, level in ipairs(results.levels) do
    local name = ("one publish at %d in flight, µs"):format(level)
    row(name, cost(ours, "wall_s", "level", level), cost(paho, "cpu_s", "level", level))
  end
  local refused = cost(ours, "wall_s", "refusals")
  row("a refused send (-10), µs", refused, cost(paho, "cpu_s", "refusal"))
  table_of(lines, { "", "mqrig", "Paho C", "mqrig is better by" }, rows)
  if results.quick then lines[#lines + 1] = "Quick: Paho C was taken to 10,000 only, and no further.\n" end
  if late then lines[#lines + 1] = "Paho C was stopped at its limit.\n" end
  if late and not paho_wall then paho_wall = results.paho_limit_s end
  if paho_wall then
    local aim = ("65,535 in flight over %d times faster than Paho C"):format(AIM_FASTER)
    aims[#aims + 1] = { aim, times(paho_wall, wall), paho_wall / wall > AIM_FASTER }
  end
  local accepted = cost(ours, "wall_s", "level", top)
  local aim = "a refused send costs no more than an accepted one, within a tenth"
  aims[#aims + 1] = { aim, ratio(refused, accepted), refused <= 1.1 * accepted }
  local growth = accepted / cost(ours, "wall_s", "level", results.levels[1])
  aims[#aims + 1] = { "a publish at 65,535 costs what one at 1,000 does", ("%.2f"):format(growth), growth < 1.5 }
end

local function memory(lines, results, aims)
  local grown_kib = over(results.fill.mqrig, function(records) return find(records, "grown_kib").grown_kib end)
  local mib = grown_kib / 1024
  local paho_kib = total(results.fill.paho, 65535, "grown_kib")
  local each = {}
  for _, name in ipairs { "mqrig", "mosquitto" } do
    each[name] = over(results.idle[name], function(records) return find(records, "each_kib").each_kib end)
  end
  lines[#lines + 1] = "## Memory\n"
  table_of(lines, { "", "mqrig", "libmosquitto", "Paho C" }, {
    { "65,535 messages of 16 bytes in flight, MiB above idle", number(mib), "-", number(paho_kib and paho_kib / 1024) },
    { "one idle connected client of 1,000, KiB", number(each.mqrig), number(each.mosquitto), "-" },
  })
  aims[#aims + 1] = { ("65,535 in flight in at most %d MiB"):format(AIM_MIB), number(mib) .. " MiB", mib <= AIM_MIB }
end

local AIM_TLS_IDLE_KIB = 12

local function tls(lines, results, aims)
  local rows, cells, idle = {}, results.tls, {}
  lines[#lines + 1] = ("## Over TLS, mqrig by mbedTLS (1.2), libmosquitto by OpenSSL (1.3)\n\nMedians of %d.\n"):format(
    results.repeats)
  for qos = 0, 1 do
    local ours, theirs = over(cells.publish[qos].mqrig, per_million), over(cells.publish[qos].mosquitto, per_million)
    rows[#rows + 1] = { ("CPU seconds for a million messages at QoS %d"):format(qos), number(ours), number(theirs),
      ratio(ours, theirs) }
  end
  local function each_ms(records)
    local run = find(records, "cpu_s")
    return run.cpu_s / run.count * 1000
  end
  for _, part in ipairs { { "a connect with a whole handshake, CPU ms of the client", each_ms },
    { "connects one after the other, a second", rate } } do
    local ours, theirs = over(cells.connect.mqrig, part[2]), over(cells.connect.mosquitto, part[2])
    rows[#rows + 1] = { part[1], number(ours), number(theirs), ratio(ours, theirs) }
  end
  for _, name in ipairs { "mqrig", "mosquitto" } do
    idle[name] = over(cells.idle[name], function(records) return find(records, "each_kib").each_kib end)
  end
  rows[#rows + 1] = { "one idle connected client of 1,000, KiB", number(idle.mqrig), number(idle.mosquitto),
    ratio(idle.mqrig, idle.mosquitto) }
  table_of(lines, { "", "mqrig", "libmosquitto", "ratio" }, rows)
  aims[#aims + 1] = { ("an idle client over TLS in at most %d KiB"):format(AIM_TLS_IDLE_KIB),
    number(idle.mqrig) .. " KiB", idle.mqrig <= AIM_TLS_IDLE_KIB }
end

local function starts(lines, results, aims)
  lines[#lines + 1] = "## From the start of the program to the first PUBLISH on the wire, ms\n"
  local rows = {}
  for _, name in ipairs { "mqrig", "mosquitto", "paho" } do
    local record = results.starts[name]
    local shown = { mqrig = "mqrig, a one-line scenario", mosquitto = "libmosquitto", paho = "Paho C" }
    rows[#rows + 1] = { shown[name], number(record.median_ms), number(record.least_ms), number(record.most_ms) }
  end
  table_of(lines, { "", "median", "least", "most" }, rows)
  local ms = results.starts.mqrig.median_ms
  aims[#aims + 1] = { ("first PUBLISH within %d ms"):format(AIM_START_MS), number(ms) .. " ms", ms <= AIM_START_MS }
end

local function package_version(name)
  return output("dpkg-query -W -f '${Version}' " .. name .. " 2>/dev/null"):match("%S+") or "of unknown version"
end

local function machine(lines, results)
  local model = output("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo"):match("[^\n]+") or "unknown processor"
  lines[#lines + 1] = "# mqrig beside libmosquitto and Paho C\n"
  lines[#lines + 1] = ("%s, %s processors, Linux %s; libmosquitto %s, Paho C %s; medians of %d.\n"):format(model,
    output("nproc"):match("%d+"), output("uname -r"):match("%S+"), package_version("libmosquitto1"),
    package_version("libpaho-mqtt1.3"), results.repeats)
end

function M.markdown(results)
  local lines, aims, rows = {}, {}, {}
  machine(lines, results)
  publish(lines, results, aims)
  fill(lines, results, aims)
  memory(lines, results, aims)
  tls(lines, results, aims)
  starts(lines, results, aims)
  for _, aim in ipairs(aims) do rows[#rows + 1] = { aim[1], aim[2], aim[3] and "met" or "missed" } end
  lines[#lines + 1] = "## Aims\n"
  table_of(lines, { "aim", "measured", "" }, rows)
  return table.concat(lines, "\n")
end

return M
