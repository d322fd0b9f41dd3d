-- Connects and disconnects, one client after the other, and writes down what that cost.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("connect", { timeout = 60, params = { count = 100, out = "" } }, function(t)
  local begin_ns, begin_cpu_s = t:now(), os.clock()
  for _ = 1, t.params.count do
    local client <close> = mqtt.createclient()
    expect(t:await(function(done)
      client:onconnect(done)
      client:connect(t.broker.url, "bench-mqrig")
    end)):equals(mqtt.SUCCESS)
    t:await(function(done) client:disconnect(done) end)
  end
  local cpu_s, wall_s = os.clock() - begin_cpu_s, t:now() - begin_ns
  local out <close> = assert(io.open(t.params.out, "w"))
  out:write(("count=%d wall_s=%.6f cpu_s=%.6f\n"):format(t.params.count, wall_s, cpu_s))
end)
