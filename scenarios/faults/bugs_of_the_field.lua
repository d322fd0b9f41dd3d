-- What goes wrong in real clients and brokers, as scenarios that hold for good ones. Each has the defect built in:
-- `mqrig run scenarios/faults/bugs_of_the_field.lua -p defect=pubrel-lost` switches one on, and its scenario fails.
local rig = require "mqrig"
local scenario, expect = rig.scenario, rig.expect

local defects = {}

-- A scenario for a bug: fn(t, defective).
local function bug(name, sentence, options, fn)
  defects[name] = true
  options.tags, options.params = "bugs", { defect = "none" }
  scenario(name .. ": " .. sentence, options, function(t)
    local defect = t.params.defect
    if defect ~= "none" and not defects[defect] then
      error(("there is no defect %q"):format(defect))
    end
    fn(t, defect == name)
  end)
end

bug("identifier-reused", "an identifier in flight is not used for another message", { clause = "MQTT-2.3.1-2" },
  function(t, defective)
    local peer = t:peer()
    local function another(id) return id ~= 1 end
    local play = peer:play {
      { "<", "CONNECT" }, { ">", "CONNACK" },
      { "<", "PUBLISH", packet_id = 1 },                    -- stays in flight
      { "<", "PUBLISH", packet_id = another }, { ">", "PUBACK" },
      { "<", "SUBSCRIBE", packet_id = another }, { ">", "SUBACK" },
      { "<", "PUBLISH", packet_id = another }, { ">", "PUBACK" },
      { ">", "PUBACK", packet_id = 1 },
    }
    local c = t:connect { broker = peer }
    if defective then
      c.link.up:on("PUBLISH"):nth(3):rewrite(function(packet) packet.packet_id = 1 end)
    end
    local first = c:send("bugs", "in flight", { qos = 1 })
    c:publish("bugs", "a second", { qos = 1 })
    c:subscribe("bugs", 0)
    c:publish("bugs", "a third", { qos = 1 })
    expect(first:wait()):equals(0)
    play:wait()
  end)

-- A QoS 2 message whose PUBREL was sent, a reset, and the connection after it.
local function released_and_reset(peer)
  return peer:play {
    { "<", "CONNECT", clean = false }, { ">", "CONNACK" },
    { "<", "PUBLISH", qos = 2, packet_id = 1, dup = false }, { ">", "PUBREC" },
    { "<", "PUBREL", packet_id = 1 },
    { ">", "rst" },
    { "<", "CONNECT", clean = false }, { ">", "CONNACK", session_present = true },
    { "<", "PUBREL", packet_id = 1, within = 0.5 },
    { ">", "PUBCOMP" },
    { "never", "PUBLISH", for_ = 0.1 },
  }
end

local function publish_over_a_reset(t, peer, spoil)
  local play = released_and_reset(peer)
  local c = t:connect { broker = peer, clean = false }
  if spoil then spoil(c) end
  local sent = c:send("bugs", "exactly once", { qos = 2 })
  expect(c:wait_lost()):equals(-1)
  c:connect()
  expect(sent:wait()):equals(0)
  play:wait()
end

bug("publish-after-pubrel", "what was released is not published again", { clause = "MQTT-4.3.3-1" },
  function(t, defective)
    publish_over_a_reset(t, t:peer(), defective and function(c)
      c.link.up:on("PUBREL"):across():nth(2):rewrite(function(packet)
        return { type = "PUBLISH", dup = true, qos = 2, packet_id = packet.packet_id, topic = "bugs",
          payload = "exactly once" }
      end)
    end)
  end)

bug("pubrel-lost", "a PUBREL without its PUBCOMP is sent again after a reconnect", { clause = "MQTT-4.4.0-1" },
  function(t, defective)
    publish_over_a_reset(t, t:peer(), defective and function(c)
      c.link.up:on("PUBREL"):across():nth(2):drop()
    end)
  end)

bug("resend-out-of-order", "what is sent again keeps its order", { clause = { "MQTT-4.6.0-1", "MQTT-4.4.0-1" } },
  function(t, defective)
    local peer = t:peer()
    local play = peer:play {
      { "<", "CONNECT" }, { ">", "CONNACK" },
      { "<", "PUBLISH", payload = "1" }, { "<", "PUBLISH", payload = "2" }, { "<", "PUBLISH", payload = "3" },
      { ">", "rst" },
      { "<", "CONNECT" }, { ">", "CONNACK", session_present = true },
      { "<", "PUBLISH", payload = "1", dup = true, packet_id = 1 }, { ">", "PUBACK" },
      { "<", "PUBLISH", payload = "2", dup = true, packet_id = 2 }, { ">", "PUBREC" },
      { any_order = {
        { "<", "PUBLISH", payload = "3", dup = true, packet_id = 3 },
        { "<", "PUBREL", packet_id = 2 },
      } },
      { ">", "PUBCOMP", packet_id = 2 }, { ">", "PUBACK", packet_id = 3 },
    }
    local c = t:connect { broker = peer, clean = false }
    if defective then
      c.link.up:on("PUBLISH"):dup():across():range(1, 2):rewrite(function(packet)
        packet.packet_id = 3 - packet.packet_id
        packet.payload = tostring(packet.packet_id)
        packet.qos = packet.packet_id
      end)
    end
    local sent = {}
    for i = 1, 3 do
      sent[i] = c:send("bugs", tostring(i), { qos = i == 2 and 2 or 1 })
    end
    c:wait_lost()
    c:connect()
    for i = 1, 3 do
      expect(sent[i]:wait()):equals(0)
    end
    play:wait()
  end)

bug("half-open", "a client notices that nobody is there any more", { clause = "MQTT-3.1.2-24", timeout = 15 },
  function(t, defective)
    local peer = t:peer()
    peer.down:on("PINGRESP"):drop():may_fire()
    local c = t:connect { broker = peer, keepalive = defective and 0 or 1 }
    expect(c:wait_lost { within = 4 }):equals(-1)
    expect(#peer:received("PINGREQ")):equals(1)
  end)

bug("broker-half-open", "a broker closes for a client that has fallen silent",
  { clause = "MQTT-3.1.2-24", timeout = 20 }, function(t, defective)
    local peer = t:peer()
    if defective then
      peer:play { { "<", "CONNECT" }, { ">", "CONNACK" } }  -- and nothing more, however long it takes
    end
    local raw = t:raw_client { broker = defective and peer or t.broker }
    -- mosquitto counts whole seconds: with 1 it may be early.
    raw:send("CONNECT", { client_id = "silent", keepalive = 2 })
    raw:recv("CONNACK")
    local began = t:now()
    raw:wait_closed { within = defective and 4 or 12 }  -- mosquitto looks every few seconds
    expect(t:now() - began):is_at_least(2.9)
  end)

bug("session-lost", "a session between PUBREC and PUBREL outlives its connection",
  { clause = { "MQTT-3.1.2-4", "MQTT-4.3.3-2" } }, function(t, defective)
    local broker = defective and t:builtin() or t.broker
    local reader = t:connect { broker = broker, id = "reader" }
    reader:subscribe("bugs/session", 2)
    local c = t:connect { broker = broker, clean = false, id = "writer" }
    local lost = c.link.up:on("PUBREL"):across():first():drop()
    local sent = c:send("bugs/session", "exactly once", { qos = 2 })
    lost:wait()
    c.link:rst()
    c:wait_lost()
    if defective then
      broker:restart { persist = false }
      reader:wait_lost()
      reader:connect()
      reader:subscribe("bugs/session", 2)
    end
    c:connect()
    c:wait_received("CONNACK", { session_present = true, within = 1 })
    expect(sent:wait()):equals(0)
    expect(reader:next_message().payload):equals("exactly once")
    reader:expect_no_message()
  end)
