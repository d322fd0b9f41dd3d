-- Every accepted send gets exactly one callback, however the client ends; in send order, then what tells the end.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

-- A client, its diary, and seven messages in all states: one done, others in flight, cut, not begun.
local function busy_client(t, options)
  options = options or {}
  local peer = t:peer()
  peer.down:on("PUBACK", "PUBCOMP"):drop()
  local client = mqtt.createclient { maxinflight = 4 }
  t:defer(function() client:close() end)
  local diary = {}
  local function note(what) diary[#diary + 1] = what end
  client:onconnectionlost(function(reason) note("lost " .. reason) end)
  t:await(function(done)
    client:onconnect(done)
    client:connect(peer.url, "busy", { cleansession = options.clean })
  end)
  for i, qos in ipairs { 0, 1, 2, 1, 2, 1, 0 } do
    client:createmessage("codes/order", tostring(i), { qos = qos }):sendasync(function(code)
      note(("%d: %d"):format(i, code))
      if options.inside then options.inside(client, i) end
    end)
  end
  t:wait(function() return #peer:received("PUBREL") == 2 end)
  expect(diary):equals { "1: 0" }
  return client, diary, peer, note
end

scenario("on loss: results in send order, then onconnectionlost", { tags = "result-codes" }, function(t)
  local _, diary, peer = busy_client(t)
  peer:conn():rst()
  t:wait(function() return diary[#diary] == "lost -1" end)
  expect(diary):equals { "1: 0", "2: -11", "3: -11", "4: -11", "5: -11", "6: -3", "7: -3", "lost -1" }
end)

scenario("on disconnect: results in send order, then its own callback, no onconnectionlost", { tags = "result-codes" },
  function(t)
    local client, diary, _, note = busy_client(t)
    t:await(function(done)
      client:disconnect(function()
        note("disconnected")
        done()
      end)
    end)
    expect(diary):equals { "1: 0", "2: -11", "3: -11", "4: -11", "5: -11", "6: -3", "7: -3", "disconnected" }
    t:connect():publish("codes/order", "a sentinel", { qos = 1 })
    expect(diary[#diary]):equals("disconnected")
  end)

scenario("on close: results in send order before close returns, and nothing after", { tags = "result-codes" },
  function(t)
    local client, diary = busy_client(t)
    client:close()
    expect(diary):equals { "1: 0", "2: -11", "3: -11", "4: -11", "5: -11", "6: -3", "7: -3" }
    client:close()
    t:connect():publish("codes/order", "a sentinel", { qos = 1 })
    expect(#diary):equals(7)
  end)

scenario("results come in send order also where the messages stand in other orders", { tags = "result-codes" },
  function(t)
    -- The second is acknowledged first; what is left keeps its order.
    local peer = t:peer()
    peer:on("PUBLISH", function() end)
    local c = t:connect { broker = peer }
    local order = {}
    for i = 1, 5 do
      c.mqtt:createmessage("codes/order", "x", { qos = i % 2 + 1 }):sendasync(function(code)
        order[#order + 1] = ("%d: %d"):format(i, code)
      end)
    end
    t:wait(function() return #peer:received("PUBLISH") == 5 end)
    peer:send("PUBACK", { packet_id = 4 })
    peer:send("PUBREC", { packet_id = 3 })
    peer:send("PUBACK", { packet_id = 2 })
    c:wait_received("PUBACK", { packet_id = 2 })
    peer:conn():rst()
    c:wait_lost()
    expect(order):equals { "4: 0", "2: 0", "1: -11", "3: -11", "5: -11" }
  end)

scenario("inside the callbacks of a loss the client is not connected, and sending raises", { tags = "result-codes" },
  function(t)
    local seen = {}
    local client, diary, peer = busy_client(t, { inside = function(client, i)
      if i == 1 then return end
      seen[#seen + 1] = client:isconnected()
      local message = client:createmessage("codes/order", "x")
      expect(function() message:sendasync() end):raises("not connected")
      expect(client:subscribe("codes/order", 0)):equals(mqtt.ERROR_DISCONNECTED)
    end })
    client:onconnectionlost(function()
      seen[#seen + 1] = client:isconnected()
      diary[#diary + 1] = "lost"
    end)
    peer:conn():rst()
    t:wait(function() return diary[#diary] == "lost" end)
    expect(seen):equals { false, false, false, false, false, false, false }
  end)

for _, way in ipairs { "disconnect", "close" } do
  scenario(("inside the callbacks of %s as well"):format(way), { tags = "result-codes" }, function(t)
    local seen = {}
    local client, diary = busy_client(t, { inside = function(client, i)
      if i == 1 then return end
      seen[#seen + 1] = client:isconnected()
      local message = client:createmessage("codes/order", "x")
      expect(function() message:sendasync() end):raises("not connected")
    end })
    client[way](client)
    t:wait(function() return #diary == 7 end)
    expect(seen):equals { false, false, false, false, false, false }
  end)
end

scenario("connecting again before the end was told raises; in onconnectionlost it is allowed",
  { tags = "result-codes" }, function(t)
    local tried = 0
    local client, diary, peer, note = busy_client(t, { inside = function(client, i)
      if i == 1 then return end
      tried = tried + 1
      expect(function() client:connect("tcp://127.0.0.1:1", "again") end):raises("not disconnected")
    end })
    client:onconnect(function(code) note("connected " .. code) end)
    client:onconnectionlost(function()
      client:connect(peer.url, "again")
    end)
    peer:conn():rst()
    t:wait(function() return diary[#diary] == "connected 0" end)
    expect(tried):equals(6)
    expect(client:isconnected()):is_true()
  end)

scenario("connecting again in the callback of disconnect is allowed, before it raises", { tags = "result-codes" },
  function(t)
    local client, diary, peer, note = busy_client(t)
    client:onconnect(function(code) note("connected " .. code) end)
    client:disconnect(function()
      client:connect(peer.url, "again")
    end)
    expect(function() client:connect(peer.url, "again") end):raises("not disconnected")
    t:wait(function() return diary[#diary] == "connected 0" end)
  end)

for qos = 0, 2 do
  scenario(("QoS %d: the callback never comes before sendasync has returned"):format(qos), { tags = "result-codes" },
    function(t)
      local c = t:connect()
      local message = c.mqtt:createmessage("codes/order", ("x"):rep(100000), { qos = qos })
      local done = 0
      for _ = 1, 50 do -- enough that bytes are handed over while sendasync runs
        local before = done
        message:sendasync(function() done = done + 1 end)
        expect(done):equals(before)
      end
      t:wait(function() return done == 50 end)
    end)
end

scenario("each send has its own callback, once", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local counts = {}
  for i = 1, 300 do
    counts[i] = 0
    c.mqtt:createmessage("codes/order", "x", { qos = i % 3 }):sendasync(function() counts[i] = counts[i] + 1 end)
  end
  t:wait(function() return counts[300] == 1 end)
  c:publish("codes/order", "behind them all", { qos = 2 })
  c.link:rst()
  c:wait_lost()
  c:close()
  for i = 1, 300 do
    if counts[i] ~= 1 then expect(("%d: %d"):format(i, counts[i])):equals(("%d: 1"):format(i)) end
  end
end)

scenario("messages go out in the order in which they were sent, whatever their QoS", { tags = "result-codes" },
  function(t)
    local reader = t:connect()
    reader:subscribe("codes/fifo", 2)
    local c = t:connect { maxinflight = 3 }
    for i = 1, 60 do
      c:send("codes/fifo", tostring(i), { qos = i % 3 })
    end
    for i = 1, 60 do
      expect(c:wait_sent("PUBLISH").payload):equals(tostring(i))
    end
    local got = {}
    for i = 1, 60 do
      got[i] = reader:next_message().payload
    end
    expect(#got):equals(60)
  end)

scenario("a send from inside a callback goes behind what was sent before", { tags = "result-codes" }, function(t)
  local c = t:connect()
  local order = {}
  local function send(name, qos, fn)
    c.mqtt:createmessage("codes/order", name, { qos = qos }):sendasync(function(code)
      order[#order + 1] = ("%s %d"):format(name, code)
      if fn then fn() end
    end)
  end
  send("first", 1, function() send("from inside", 1) end)
  send("second", 1)
  t:wait(function() return #order == 3 end)
  expect(order):equals { "first 0", "second 0", "from inside 0" }
  local wire = {}
  for i = 1, 3 do
    wire[i] = c:wait_sent("PUBLISH").payload
  end
  expect(wire):equals { "first", "second", "from inside" }
end)

for _, way in ipairs { "disconnect", "close" } do
  scenario(("%s from inside a result: the others get theirs"):format(way), { tags = "result-codes" }, function(t)
    local peer = t:peer()
    local held = peer.down:on("PUBACK"):hold()
    local client <close> = mqtt.createclient()
    local diary = {}
    t:await(function(done)
      client:onconnect(done)
      client:connect(peer.url, "inside")
    end)
    for i = 1, 4 do
      client:createmessage("codes/order", "x", { qos = 1 }):sendasync(function(code)
        diary[#diary + 1] = ("%d: %d"):format(i, code)
        if i == 1 then client[way](client) end
      end)
    end
    t:wait(function() return held.seen == 4 end)
    held:release(1)
    t:wait(function() return #diary == 4 end)
    expect(diary):equals { "1: 0", "2: -11", "3: -11", "4: -11" }
  end)
end

-- A client that nobody holds any more is collected: its connection ends, and what it had accepted gets its code.
scenario("a collected client gives every send its callback", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()
  local codes = {}
  local function leave_behind()
    local client = mqtt.createclient { maxinflight = 2 }
    t:await(function(done)
      client:onconnect(done)
      client:connect(peer.url, "forgotten")
    end)
    client:onconnect(nil)
    for i = 1, 4 do
      client:createmessage("codes/order", "x", { qos = 1 }):sendasync(function(code) codes[i] = code end)
    end
    t:wait(function() return #peer:received("PUBLISH") == 2 end)
  end
  leave_behind()
  expect(codes):equals {}
  collectgarbage()
  collectgarbage()
  t:wait(function() return #codes == 4 end)
  expect(codes):equals { -11, -11, -3, -3 }
  t:wait(function() return not peer:conn() end)
end)

scenario("a client is closed at the end of its block", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer.down:on("PUBACK"):drop()
  local code
  do
    local client <close> = mqtt.createclient()
    t:await(function(done)
      client:onconnect(done)
      client:connect(peer.url, "in a block")
    end)
    client:createmessage("codes/order", "x", { qos = 1 }):sendasync(function(c) code = c end)
    t:wait(function() return #peer:received("PUBLISH") == 1 end)
  end
  expect(code):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  t:wait(function() return not peer:conn() end)
end)
