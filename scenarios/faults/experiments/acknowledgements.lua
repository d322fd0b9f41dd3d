-- An experiment: what a delay of the link and lost acknowledgements do to messages of each QoS. A row a run, in
-- mqrig-out/experiments/, for a spreadsheet; `-p messages=200 -p runs=20` for smoother figures.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

local over = { delay = { 0, 0.01 }, loss = { 0, 0.3 }, qos = { 0, 1, 2 } }

scenario("delay, loss of acknowledgements, QoS",
  { tags = "experiment", timeout = "10m", params = { messages = 10, runs = 1 } }, function(t)
    local rows = t:sweep({ over = over, runs = t.params.runs, columns = { "reconnects" } }, function(run, params)
      local reader = t:connect()
      reader:subscribe("experiment", 2)
      run:watch(reader)
      local writer = t:connect { clean = false }
      writer.link.up:on("bytes"):delay(params.delay):may_fire()
      writer.link.down:on("PUBACK", "PUBREC", "PUBCOMP"):prob(params.loss):drop():may_fire()
      for i = 1, t.params.messages do
        run:send(writer, "experiment", tostring(i), { qos = params.qos })
      end
      local reconnects = 0
      while not run:settle { within = 0.1 } and reconnects < 50 do -- what was lost comes again
        writer.link:rst()
        writer:wait_lost()
        writer:connect()
        reconnects = reconnects + 1
      end
      run:note("reconnects", reconnects)
    end)
    for _, row in ipairs(rows) do
      expect(row.ok):equals(t.params.messages)
      expect(row.missing):equals(0)
      if row.qos ~= 1 then
        expect(row.duplicates):equals(0)
      end
    end
  end)
