-- cleansession = false: a lost connection and a disconnect fail nothing. What was in flight or buffered goes on after
-- the reconnect, if the broker still has the session.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

local function publishes(conn)
  local list = {}
  for i, packet in ipairs(conn:received("PUBLISH")) do
    list[i] = ("%s id %d%s"):format(packet.payload, packet.packet_id or 0, packet.dup and " dup" or "")
  end
  return list
end

local ends = {
  { "the link is reset", function(c) c.link:rst() c:wait_lost() end },
  { "the broker closes", function(c, peer) peer:conn():fin() c:wait_lost() end },
  { "the client disconnects", function(c) c:disconnect() end },
}

for _, ending in ipairs(ends) do
  for _, place in ipairs { { 1, "PUBACK" }, { 2, "PUBREC" } } do
    local qos, answer = place[1], place[2]
    scenario(("QoS %d without %s, %s: sent again with DUP and its identifier"):format(qos, answer, ending[1]),
      { tags = "result-codes" }, function(t)
        local peer = t:peer()
        local first = peer.down:on(answer):across():first():drop()
        local c = t:connect { broker = peer, clean = false }
        local token = c:send("codes/session", "x", { qos = qos })
        first:wait()
        ending[2](c, peer)
        expect(token.code):is_nil()
        expect(c.inflight):equals(1)

        c:connect()
        expect(token:wait()):equals(mqtt.SUCCESS)
        expect(publishes(peer:conn(1))):equals { "x id 1" }
        expect(publishes(peer:conn(2))):equals { "x id 1 dup" }
      end)
  end

  scenario(("QoS 2 with PUBREC, %s: PUBREL again, never the PUBLISH"):format(ending[1]), { tags = "result-codes" },
    function(t)
      local peer = t:peer()
      local first = peer.down:on("PUBCOMP"):across():first():drop()
      local c = t:connect { broker = peer, clean = false }
      local token = c:send("codes/session", "x", { qos = 2 })
      first:wait()
      ending[2](c, peer)
      expect(token.code):is_nil()

      c:connect()
      expect(token:wait()):equals(mqtt.SUCCESS)
      expect(publishes(peer:conn(2))):equals {}
      expect(peer:conn(2):received("PUBREL")[1].packet_id):equals(1)
    end)

  scenario(("what was buffered when %s waits for the next connection"):format(ending[1]), { tags = "result-codes" },
    function(t)
      local peer = t:peer()
      local held = peer.down:on("PUBACK"):across():first():drop()
      local c = t:connect { broker = peer, clean = false, maxinflight = 1 }
      local tokens = {}
      for i, qos in ipairs { 1, 1, 0, 2 } do
        tokens[i] = c:send("codes/session", tostring(i), { qos = qos })
      end
      held:wait()
      ending[2](c, peer)
      expect(c.inflight):equals(1)
      expect(c.buffered):equals(3)

      c:connect()
      for i = 1, 4 do
        expect(tokens[i]:wait()):equals(mqtt.SUCCESS)
      end
      expect(publishes(peer:conn(2))):equals { "1 id 1 dup", "2 id 2", "3 id 0", "4 id 3" }
    end)
end

scenario("the original order, and before anything new", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  peer:on("PUBLISH", function() end) -- no answers on the first connection
  local c = t:connect { broker = peer, clean = false }
  local tokens = {}
  for i = 1, 6 do
    tokens[i] = c:send("codes/session", tostring(i), { qos = i % 2 + 1 })
  end
  t:wait(function() return #peer:received("PUBLISH") == 6 end)
  peer:send("PUBREC", { packet_id = 1 })
  peer:send("PUBACK", { packet_id = 4 })
  t:wait(function() return #peer:received("PUBREL") == 1 end)
  c.link:rst()
  c:wait_lost()

  peer:on("PUBLISH", nil)
  c:connect()
  local new = c:send("codes/session", "new", { qos = 1 })
  expect(new:wait()):equals(0)
  for i = 1, 6 do
    if i ~= 4 then expect(tokens[i]:wait()):equals(0) end
  end
  local wire = {}
  for i, packet in ipairs(peer:conn(2):received()) do
    if packet.type == "PUBLISH" then wire[#wire + 1] = packet.payload .. (packet.dup and " dup" or "") end
    if packet.type == "PUBREL" and i <= 7 then wire[#wire + 1] = "PUBREL " .. packet.packet_id end
  end
  expect(table.concat(wire, ", ", 1, 6)):equals("PUBREL 1, 2 dup, 3 dup, 5 dup, 6 dup, new")
end)

scenario("a part of a message that was cut is sent again as a whole", { tags = "result-codes" }, function(t)
  for qos = 0, 2 do
    local c = t:connect { clean = false }
    local cut = c.link.up:on("PUBLISH"):across():first():at_byte(4):rst()
    local token = c:send("codes/session", "in one piece", { qos = qos })
    cut:wait()
    expect(c:wait_lost()):equals(-1)
    expect(token.code):is_nil()
    c:connect()
    expect(token:wait()):equals(mqtt.SUCCESS)
  end
end)

scenario("no session on reconnect: -11 for what was in flight, what was buffered is sent", { tags = "result-codes" },
  function(t)
    local peer = t:peer()
    local acks = peer.down:on("PUBACK", "PUBCOMP"):drop()
    local c = t:connect { broker = peer, clean = false, maxinflight = 3 }
    local tokens = {}
    for i, qos in ipairs { 1, 2, 1, 1, 0, 2 } do
      tokens[i] = c:send("codes/session", tostring(i), { qos = qos })
    end
    t:wait(function() return #peer:received("PUBREL") == 1 and acks.seen == 3 end)
    peer:restart { persist = false }
    expect(c:wait_lost()):equals(-1)
    for i = 1, 6 do
      expect(tokens[i].code):is_nil()
    end

    acks:off()
    c:connect()
    expect(c:wait_received("CONNACK", { session_present = false }).reason_code):equals(0)
    for i, code in ipairs { -11, -11, -11, 0, 0, 0 } do
      expect(tokens[i]:wait()):equals(code)
    end
    expect(publishes(peer:conn(2))):equals { "4 id 4", "5 id 0", "6 id 5" }
  end)

scenario("connecting with cleansession = true ends it: -11 for what was in flight", { tags = "result-codes" },
  function(t)
    local peer = t:peer()
    local acks = peer.down:on("PUBACK"):drop()
    local client <close> = mqtt.createclient { maxinflight = 1 }
    local function connect(clean)
      return t:await(function(done)
        client:onconnect(done)
        client:connect(peer.url, "kept", { cleansession = clean })
      end)
    end
    expect(connect(false)):equals(0)
    local codes = {}
    for i = 1, 2 do
      client:createmessage("codes/session", tostring(i), { qos = 1 }):sendasync(function(code) codes[i] = code end)
    end
    t:wait(function() return acks.seen == 1 end)
    t:await(function(done) client:disconnect(done) end)
    expect(codes):equals {}
    acks:off()
    expect(connect(true)):equals(0)
    t:wait(function() return codes[2] end)
    expect(codes):equals { -11, 0 }
  end)

scenario("a reconnect that fails changes nothing: the messages go on waiting", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local dropped = peer.down:on("PUBACK"):across():first():drop()
  local c = t:connect { broker = peer, clean = false }
  local token = c:send("codes/session", "x", { qos = 1 })
  dropped:wait()
  peer:stop()
  expect(c:wait_lost()):equals(-1)
  for _ = 1, 3 do
    expect(c:try_connect()):equals(-1)
    expect(token.code):is_nil()
  end
  peer:start()
  c:connect()
  expect(token:wait()):equals(mqtt.SUCCESS)
end)

scenario("a session survives many broken connections", { tags = "result-codes" }, function(t)
  local c = t:connect { clean = false }
  local broken = c.link.down:on("PUBREC"):across():range(1, 5):rst()
  local token = c:send("codes/session", "x", { qos = 2 })
  for _ = 1, 5 do
    expect(c:wait_lost()):equals(-1)
    expect(token.code):is_nil()
    c:connect()
  end
  expect(token:wait()):equals(mqtt.SUCCESS)
  expect(broken.fired):equals(5)
end)

-- close is the end of the session's messages too, whenever it is called.
for _, while_connected in ipairs { true, false } do
  local name = while_connected and "while connected" or "between two connections"
  scenario("close of a client with a kept session, " .. name, { tags = "result-codes" }, function(t)
    local peer = t:peer()
    peer.down:on("PUBACK", "PUBCOMP"):drop()
    local c = t:connect { broker = peer, clean = false, maxinflight = 2 }
    local tokens = {}
    for i, qos in ipairs { 1, 2, 1, 0 } do
      tokens[i] = c:send("codes/session", tostring(i), { qos = qos })
    end
    t:wait(function() return #peer:received("PUBREL") == 1 end)
    if not while_connected then
      c.link:rst()
      c:wait_lost()
    end
    c:close()
    for i, code in ipairs { -11, -11, -3, -3 } do
      expect(tokens[i].code):equals(code)
    end
    expect(c.inflight):equals(0)
    expect(c.buffered):equals(0)
  end)
end

scenario("identifiers of messages that are kept are not used for new ones", { tags = "result-codes" }, function(t)
  local peer = t:peer()
  local held = peer.down:on("PUBACK"):drop()
  local c = t:connect { broker = peer, clean = false }
  local kept = c:send("codes/session", "kept", { qos = 1 })
  t:wait(function() return held.seen == 1 end)
  c.link:rst()
  c:wait_lost()
  c:connect()
  expect(c:send("codes/session", "new", { qos = 1 }).packet_id):equals(2)
  expect(kept.packet_id):equals(1)
end)

scenario("a QoS 2 message to the client is not delivered twice over two connections", { tags = "result-codes" },
  function(t)
    local peer = t:peer()
    local c = t:connect { broker = peer, clean = false }
    local message = { topic = "codes/inbound", payload = "once", qos = 2, packet_id = 7 }
    peer:send("PUBLISH", message)
    expect(c:next_message().payload):equals("once")
    c.link:rst()
    c:wait_lost()
    c:connect()
    message.dup = true
    peer:send("PUBLISH", message)
    peer:send("PUBREL", { packet_id = 7 })
    c:wait_sent("PUBCOMP", { packet_id = 7 })
    message.dup, message.payload = false, "the identifier is free for another"
    peer:send("PUBLISH", message)
    expect(c:next_message().payload):equals("the identifier is free for another")
    expect(c:messages()):equals {}
  end)

scenario("subscriptions belong to the session of the broker", { tags = "result-codes" }, function(t)
  local c = t:connect { clean = false }
  c:subscribe("codes/kept", 1)
  c:disconnect()
  t:connect():publish("codes/kept", "while away", { qos = 1 })
  c:connect()
  expect(c:next_message().payload):equals("while away")
end)
