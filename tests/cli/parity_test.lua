-- Parity: every shipped scenario that can run in both worlds has the same verdict over real sockets and in virtual time,
-- and its connections carry the same packets. The freedoms that are left, and no more:
--
-- 1. Time, and with it everything that is measured: how much fits into buffers, how many pings a wait lasts.
-- 2. The end. What was still under way when a connection or the scenario ended may have arrived or not, been answered or
--    not: of what one end saw in one direction, one world may have less at the end.
-- 3. Two that act at the same moment, such as a script and the broker's own answers: packets of different types may
--    pass each other. Within one type and direction of a connection the order is the same.
-- 4. What follows from that: where a connection carried less in one world, those that are made after it are not
--    compared.
-- 5. Ports.
-- 6. The bytes of what is encrypted, seen by a proxy that does not end it, and so not as packets.
--
-- Three quarters of the scenarios need none of this: their packets are the same to the last one.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local dkjson = require "dkjson"

local EXACT_PARTS, OF_PARTS = 3, 4

local scenarios = io.popen("pwd"):read "l" .. "/scenarios"

-- Verdicts by name, and the captures in the folder `net`.
local function run(net)
  local status, out, err = program.run(("run %s --tag '!full-scale' --net %s --seed 1 --capture always --out %s "
    .. "-r json:%s.json -q"):format(scenarios, net, net, net))
  assert(status == 0, net .. "\n" .. out .. err)
  local verdicts = {}
  for line in program.read(net .. ".json"):gmatch "[^\n]+" do
    local event = dkjson.decode(line)
    if event.event == "scenario_end" then
      verdicts[event.full_name] = event.verdict
    end
  end
  return verdicts
end

-- The packets of a capture: "c1 -> PUBLISH, connection 1" to { lines, late = whether others were before it }. A client
-- has its name for all its connections; a broker's end of one is called peer1#1, peer1#2, ...
local function packets(path)
  local streams, opened, clients = {}, {}, 0
  for line in io.lines(path) do
    local opens = line:match "^%s*[%d.]+ ms  (%S+) opened "
    if opens then
      clients = clients + ((opened[opens] or opens:find "#") and 0 or 1)
      opened[opens] = (opened[opens] or 0) + 1
    end
    local who, direction, packet = line:match "^%s*[%d.]+ ms  (%S+) ([-<][->]) (.*)$"
    local again = packet and packet:find("(hit at ", 1, true) -- it stands there already, where the fault hit it
    if (direction == "->" or direction == "<-") and not again then
      packet = packet:gsub("   !! .*$", ""):gsub("   %(.*%)$", "")
      local number = tonumber(who:match "#(%d+)$") or opened[who] or 1
      local kind = packet:match "^malformed" or packet:match "^%S+"
      local key = ("%s %s %s, connection %d"):format(who, direction, kind, number)
      streams[key] = streams[key] or { late = number > (who:find "#" and clients or 1) }
      table.insert(streams[key], kind == "malformed" and kind or packet)
    end
  end
  return streams
end

local none = {}

-- "same", "less" in one of them, or where they differ.
local function compare(real, sim)
  local keys, verdict, difference = {}, "same", nil
  for _, streams in ipairs { real, sim } do
    for key in pairs(streams) do
      keys[key] = true
    end
  end
  for key in pairs(keys) do
    local one, other = real[key] or none, sim[key] or none
    verdict = #one == #other and verdict or "less"
  end
  for key in pairs(keys) do
    local one, other = real[key] or none, sim[key] or none
    local counts = verdict == "same" or not (one.late or other.late)
    for i = 1, counts and math.min(#one, #other) or 0 do
      if one[i] ~= other[i] and not difference then
        difference = ("%s, number %d\n  real  %s\n  sim   %s"):format(key, i, one[i], other[i])
      end
    end
  end
  return difference or verdict
end

local real, sim = run "real", run "sim"
local both = 0
for name, verdict in pairs(real) do
  local other = assert(sim[name], name)
  if verdict ~= "skipped" and other ~= "skipped" then
    both = both + 1
    assert(verdict == other, ("%s: real %s, sim %s"):format(name, verdict, other))
  end
end
assert(both > 500, "the scenarios that run in both worlds are " .. both)

local compared, same, breaches = 0, 0, {}
for name in io.popen(("cd %s/real && ls *.txt"):format(program.folder)):lines() do
  if program.has("sim/" .. name) then
    local found = compare(packets(program.folder .. "/real/" .. name), packets(program.folder .. "/sim/" .. name))
    compared = compared + 1
    same = same + (found == "same" and 1 or 0)
    if found ~= "same" and found ~= "less" then
      breaches[#breaches + 1] = name .. ": " .. found
    end
  end
end
assert(#breaches == 0, table.concat(breaches, "\n"))
assert(same * OF_PARTS >= compared * EXACT_PARTS, ("the same to the last packet are %d of %d"):format(same, compared))

program.finish()
