-- 65,535 messages of QoS 1 in flight on one client, and then more sends, each refused. The broker (withhold) never
-- acknowledges, and says when it has got so many.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local params = { size = 16, refusals = 50000, step = 500, levels = "1000,10000,65535", out = "" }

local function resident_kib()
  local f <close> = assert(io.open("/proc/self/statm"))
  local _, pages = f:read("n", "n")
  return pages * 4
end

scenario("fill", { timeout = 120, params = params }, function(t)
  local p = t.params
  local out <close> = assert(io.open(p.out, "w"))
  local client <close> = mqtt.createclient()
  local seen = 0
  client:onmessage(function(m) seen = tonumber(m.message) end)
  expect(t:await(function(done)
    client:onconnect(done)
    client:connect(t.broker.url, "bench-mqrig")
  end)):equals(mqtt.SUCCESS)
  local message = client:createmessage("bench/000", ("x"):rep(p.size), { qos = 1 })
  local refused = 0
  local function result(code)
    if code == mqtt.ERROR_NO_MORE_MSGIDS then refused = refused + 1 end
  end

  local function run(label, count, ready, fn)
    local begin_ns, begin_cpu_s = t:now(), os.clock()
    fn()
    t:wait(ready, { within = 60 })
    local cpu_s, wall_s = os.clock() - begin_cpu_s, t:now() - begin_ns
    out:write(("%s count=%d wall_s=%.6f cpu_s=%.6f\n"):format(label, count, wall_s, cpu_s))
  end
  local at = 0
  local function fill_to(level)
    for _ = at + 1, level do message:sendasync(result) end
    at = level
  end
  local function has_seen() return seen == at end

  collectgarbage()
  local idle_kib = resident_kib()
  local levels = {}
  for level in tostring(p.levels):gmatch("%d+") do levels[#levels + 1] = tonumber(level) end
  run("filled=" .. levels[#levels], levels[#levels], has_seen, function()
    for _, level in ipairs(levels) do
      fill_to(level - p.step)
      t:wait(has_seen, { within = 60 })
      run("level=" .. level, p.step, has_seen, function() fill_to(level) end)
    end
  end)
  out:write(("grown_kib=%d\n"):format(resident_kib() - idle_kib))
  if at < 65535 then return end
  -- The call alone, as of a library that returns the code; the callbacks come afterwards.
  run("refusals=" .. p.refusals, p.refusals, function() return true end, function()
    for _ = 1, p.refusals do message:sendasync(result) end
  end)
  t:wait(function() return refused == p.refusals end, { within = 10 })
end)
