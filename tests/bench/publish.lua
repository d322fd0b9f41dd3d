-- Publishes through the broker under test with a window of messages in flight, and writes down what that cost.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local params = { qos = 0, count = 1000, window = 20, size = 16, out = "" }

scenario("publish", { timeout = 120, params = params }, function(t)
  local p = t.params
  local client <close> = mqtt.createclient { maxinflight = p.window }
  expect(t:await(function(done)
    client:onconnect(done)
    client:connect(t.broker.url, "bench-mqrig")
  end)):equals(mqtt.SUCCESS)

  local message = client:createmessage("bench/000", ("x"):rep(p.size), { qos = p.qos })
  -- The last message is acknowledged also at QoS 0: a fence, behind which the broker has them all.
  local fence = client:createmessage("bench/000", ("x"):rep(p.size), { qos = math.max(p.qos, 1) })
  local begin_ns, begin_cpu_s = t:now(), os.clock()
  local code = t:await(function(done)
    local left, inflight = p.count - 1, 0
    local function sent(result)
      if result ~= mqtt.SUCCESS then
        done(result)
      elseif left > 0 then
        left = left - 1
        message:sendasync(sent)
      elseif inflight > 1 then
        inflight = inflight - 1
      else
        fence:sendasync(done)
      end
    end
    for _ = 1, math.min(p.window, left) do
      left, inflight = left - 1, inflight + 1
      message:sendasync(sent)
    end
  end, { within = 100 })
  local cpu_s, wall_s = os.clock() - begin_cpu_s, t:now() - begin_ns
  expect(code):equals(mqtt.SUCCESS)
  local out <close> = assert(io.open(p.out, "w"))
  out:write(("count=%d wall_s=%.6f cpu_s=%.6f\n"):format(p.count, wall_s, cpu_s))
end)
