-- Processes that are killed, paused and started again: brokers, with what QoS 1 and 2 promise across it, and clients.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- How often each payload came at a reader, up to the last one.
local function deliveries(reader, last)
  local counts = {}
  repeat
    local payload = reader:next_message().payload
    counts[payload] = (counts[payload] or 0) + 1
  until payload == last
  return counts
end

local function reconnect(t, client)
  t:wait(function() return client:try_connect() == mqtt.SUCCESS end)
end

-- Ten messages, of which acknowledgements are cut off in the middle by `fault(broker)`; after it the reader has them.
local function over_a_fault(t, broker, qos, fault)
  local reader = t:connect { broker = broker, clean = false, id = "reader" }
  reader:subscribe("processes/#", qos)
  local writer = t:connect { broker = broker, clean = false, id = "writer" }
  local cut = writer.link.down:on("PUBACK", "PUBREC"):range(4, 10):drop()
  local tokens = {}
  for i = 1, 10 do
    tokens[i] = writer:send("processes/" .. qos, tostring(i), { qos = qos })
  end
  cut:wait { times = 7 }
  for _ = 1, qos == 2 and 3 or 10 do               -- what the broker has passed on is done with
    reader:wait_sent(qos == 2 and "PUBCOMP" or "PUBACK")
  end
  fault(broker)
  expect(writer:wait_lost()):equals(-1)
  expect(tokens[10].code):is_nil()                 -- in flight: nothing is known, and nothing is given up
  cut:off()
  reader:wait_lost()
  reader:connect()
  writer:connect()
  for i = 1, 10 do
    expect(tokens[i]:wait()):equals(mqtt.SUCCESS)
  end
  writer:publish("processes/" .. qos, "the last", { qos = qos })
  return deliveries(reader, "the last")
end

-- A mosquitto that writes all down after each round of its loop in which a message was stored (the progress of a
-- handshake does not count as a change). Who is answered in a later round knows that it is written.
local careful = { "autosave_on_changes true", "autosave_interval 1" }

local function wait_until_written(t, broker)
  local c <close> = t:connect { broker = broker }
  c:publish("written", "all before this", { qos = 1, retain = true })
  t:connect({ broker = broker }):disconnect()
end

for qos = 1, 2 do
  local promise = qos == 1 and "at least once" or "exactly once"

  local function check(counts)
    for i = 1, 10 do
      local count = counts[tostring(i)]
      if qos == 2 then
        expect(count):equals(1)
      else
        expect(count):is_at_least(1)
      end
    end
  end

  scenario(("QoS %d: %s, over an orderly restart with messages in flight"):format(qos, promise), function(t)
    check(over_a_fault(t, t.broker, qos, function(broker) broker:restart { persist = true } end))
  end)

  scenario(("QoS %d: %s, over a kill of mosquitto with messages in flight"):format(qos, promise),
    { broker = "mosquitto" }, function(t)
      check(over_a_fault(t, t:mosquitto { conf = careful }, qos, function(broker)
        wait_until_written(t, broker)
        broker:kill()
        broker:start()
      end))
    end)

  scenario(("QoS %d: a kill that loses the session: what was in flight is incomplete, what comes after arrives")
    :format(qos), function(t)
      local broker = t.broker
      local writer = t:connect { clean = false }
      local cut = writer.link.down:on("PUBACK", "PUBREC"):drop()
      local token = writer:send("processes/lost", "before", { qos = qos })
      cut:wait()
      broker:kill()
      expect(writer:wait_lost()):equals(-1)
      expect(writer:try_connect()):equals(mqtt.FAILURE)
      broker:start()
      cut:off()
      reconnect(t, writer)
      expect(token:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
      expect(writer:publish("processes/lost", "after", { qos = qos })):equals(mqtt.SUCCESS)
    end)
end

scenario("a restart without persistence forgets sessions and retained messages", function(t)
  local broker = t.broker
  local c = t:connect { clean = false }
  c:subscribe("processes/kept", 1)
  c:publish("processes/kept", "retained", { qos = 1, retain = true })
  c:next_message()
  broker:restart { persist = false }
  c:wait_lost()
  c:connect()
  c:wait_received("CONNACK", { session_present = false })
  c:expect_no_message()
  expect(c:subscribe("processes/kept", 1)):equals(1)
  c:expect_no_message()
end)

scenario("a restart with persistence keeps them", function(t)
  local c = t:connect { clean = false }
  c:subscribe("processes/kept", 1)
  c:publish("processes/kept", "retained", { qos = 1, retain = true })
  c:next_message()
  c:publish("processes/other", "behind the PUBACK", { qos = 1 })
  t.broker:restart()
  c:wait_lost()
  c:connect()
  c:wait_received("CONNACK", { session_present = true, within = 1 })
  t:connect():publish("processes/kept", "another", { qos = 1 })
  expect(c:next_message().payload):equals("another")
end)

scenario("a paused broker takes bytes and answers none; resumed, it answers all", function(t)
  local c = t:connect()
  t.broker:pause()
  local tokens = {}
  for i = 1, 20 do
    tokens[i] = c:send("processes/paused", tostring(i), { qos = i % 2 + 1 })
  end
  c:wait_sent("PUBLISH", { payload = "20" })
  t:sleep(0.1)
  expect(tokens[1].code):is_nil()
  t.broker:resume()
  for i = 1, 20 do
    expect(tokens[i]:wait()):equals(mqtt.SUCCESS)
  end
end)

-- A program under test, here a shell that has something to say.
scenario("a program is paused, killed and started again", function(t)
  local p = t:process { "sh", "-c", "echo up; exec sleep 60" }
  p:wait_output "up"
  p:pause()
  expect(p.running):is_true()
  p:resume()
  p:kill()
  local _, by_signal = p:wait()
  expect(by_signal):equals("KILL")
  p:start()
  p:wait_output "up\nup"
  local first = p.pid
  p:restart()
  p:wait_output "up\nup\nup"
  expect(p.pid):differs(first)
end)
