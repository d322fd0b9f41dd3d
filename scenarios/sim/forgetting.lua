-- A broker that loses what it should keep: what its clients are told about it.
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect

scenario("a broker that forgets its sessions: what was in flight is incomplete, what waited is sent",
  { net = "sim", tags = "sim" }, function(t)
    local peer = t:peer()
    local dropped = peer.down:on("PUBACK"):drop()
    local c = t:connect { broker = peer, clean = false, maxinflight = 1 }
    local in_flight = c:send("a", "one", { qos = 1 })
    t:wait(function()
      return #peer:received("PUBLISH") == 1
    end)
    local waiting = c:send("a", "two", { qos = 1 })
    dropped:wait()
    dropped:off()

    peer:restart { persist = false }
    expect(c:wait_lost()):equals(-1)
    expect(in_flight.code):is_nil() -- the client still hopes for its session
    c:connect()
    expect(c:wait_received("CONNACK", { session_present = false }).reason_code):equals(0)
    expect(in_flight:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
    expect(waiting:wait()):equals(mqtt.SUCCESS)
  end)

scenario("a subscription that the broker forgot gives no messages, and says so by session present",
  { net = "sim", tags = "sim", timeout = "2h" }, function(t)
    local peer = t:peer()
    local reader = t:connect { broker = peer, id = "reader", clean = false }
    reader:subscribe("news", 1)
    peer:restart { persist = false }
    reader:wait_lost()
    reader:connect()

    t:connect { broker = peer }:publish("news", "for nobody", { qos = 1 })
    reader:expect_no_message { for_ = "1h" }
  end)
