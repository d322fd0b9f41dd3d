-- Sweeps: rows, files, and what is refused. Run by sweep_test.lua.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

scenario("rows", { params = { file = "" } }, function(t)
  local seen = {}
  local rows = t:sweep({ file = t.params.file, over = { qos = { 0, 1 }, name = { "a", 'b,"c"' } }, runs = 2,
    columns = { "mine" }, settle = "10ms" }, function(run, params)
      seen[#seen + 1] = params.name .. params.qos
      local c = t:connect()
      c:subscribe("sweep", 1)
      run:watch(c)
      local first = run:send(c, "sweep", "x", { qos = params.qos })
      t:wait(function() return first.code end)
      run:send(c, "sweep", "x", { qos = params.qos }) -- the same again: a duplicate, as far as anybody can tell
      t:wait(function() return run.duplicates == 1 end)
      expect(run:settle { within = 0.01 }):is_false()
      run:send(t:client(), "sweep", "never", { qos = 1 })
      run:note("mine", run.number * 2)
    end)
  expect(seen):equals { "a0", "a0", "a1", "a1", 'b,"c"0', 'b,"c"0', 'b,"c"1', 'b,"c"1' }
  expect(#rows):equals(8)
  expect(rows[3].codes):equals("0:2 -3:1")
  expect(rows[3].sent):equals(3)
  expect(rows[3].delivered):equals(1)
  expect(rows[3].duplicates):equals(1)
  expect(rows[3].missing):equals(2)
  expect(rows[8].mine):equals(16)
  expect(rows.file):equals(t.params.file)
  expect(t.broker.stats.connections):is_at_most(1) -- what a run made was closed behind it
end)

scenario("refused", function(t)
  local function sweep(options)
    return function() t:sweep(options, function() end) end
  end
  expect(sweep {}):raises("over is a table of names and lists")
  expect(sweep { over = { qos = 1 } }):raises("over.qos is no list")
  expect(sweep { over = { sent = { 1 } } }):raises('two columns "sent"')
  expect(sweep { over = { qos = { 1 } }, colums = {} }):raises('did you mean "columns"')
  expect(sweep { over = { qos = { 1 } }, runs = 0 }):raises("0 runs of 1 combinations")
  expect(sweep { over = { qos = { 1 } }, file = "/dev/null/x.csv" }):raises("cannot write /dev/null/x.csv")
  expect(function()
    t:sweep({ over = { qos = { 1 } }, file = "/dev/null", columns = { "mine" } }, function(run) run:note("mien", 1) end)
  end):raises('did you mean "mine"')
end)

scenario("fails: a rule of a run that did not fire", function(t)
  t:sweep({ file = "/dev/null", over = { qos = { 1 } } }, function()
    t:connect().link.up:on("PUBLISH"):first():drop()
  end)
end)
