-- Brokers and clients that send what they must not: garbage, packets of 256 MB, nothing at all. The other end gets the
-- code that says so, in its time, and takes no memory for what was only announced.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local write, head = program.write, program.head

write("hostile.lua", head .. [=[
local HUGE = "\x30\xff\xff\xff\x7f" -- a PUBLISH of 268,435,455 bytes
local function peak_kib() -- of memory, of this process
  return tonumber(io.open("/proc/self/status"):read("a"):match "VmHWM:%s+(%d+)")
end
local function grows_little(fn)
  local before = peak_kib()
  fn()
  expect(peak_kib() - before):is_at_most(32 * 1024)
end

-- In place of the CONNACK.
for name, bytes in pairs {
  ["a web server"] = "HTTP/1.1 400 Bad Request\r\n\r\n",
  ["bytes of all ones"] = ("\xff"):rep(100),
  ["zeros"] = ("\0"):rep(100),
  ["another packet"] = "\xd0\x00",
  ["a long CONNACK"] = "\x20\x03\x00\x00\x00",
  ["an endless length"] = "\x20\xff\xff\xff\xff",
  ["a huge packet"] = HUGE,
} do
  scenario("no CONNACK but " .. name, function(t)
    local p = t:peer()
    p:on("CONNECT", function(conn) conn:send_raw(bytes) end)
    grows_little(function() expect(t:client { broker = p }:try_connect()):equals(mqtt.FAILURE) end)
  end)
end
for name, rule in pairs { stalled = "stall", dropped = "drop" } do
  scenario("the CONNACK is " .. name, function(t)
    local p = t:peer()
    local r = p.down:on "CONNACK"
    r[rule](r)
    local c, began = t:client { broker = p, timeout = 0.2 }, t:now()
    expect(c:try_connect()):equals(mqtt.FAILURE)
    expect(t:now() - began):is_between(0.2, 1)
  end)
end
scenario("a broker that does not accept", function(t)
  local p = t:peer()
  p:pause()
  expect(t:client { broker = p, timeout = 0.2 }:try_connect()):equals(mqtt.FAILURE)
end)

-- On an accepted connection: the loss and its reason, and the code of what was on its way.
for name, case in pairs {
  garbage = { ("\xff"):rep(100), -4 },
  ["a reserved type"] = { "\x00\x00", -4 },
  ["a client's packet"] = { "\x82\x06\x00\x01\x00\x01a\x00", -4 },
  ["wrong flags"] = { "\x41\x02\x00\x01", -4 },
  ["QoS 3"] = { "\x36\x05\x00\x01a\x00\x01", -4 },
  ["a second CONNACK"] = { "\x20\x02\x00\x00", -4 },
  ["a topic that is no UTF-8"] = { "\x30\x04\x00\x02\xff\xfe", -4 },
  ["a message over the limit"] = { HUGE, -3 },
} do
  scenario("an accepted connection gets " .. name, function(t)
    local p = t:peer()
    p.down:on("PUBACK"):first():drop()
    local c = t:connect { broker = p }
    local sent = c:send("a", "b", { qos = 1 })
    c:wait_sent "PUBLISH"
    grows_little(function()
      p:send_raw(case[1])
      expect(c:wait_lost()):equals(case[2])
    end)
    expect(sent:wait()):equals(mqtt.ERROR_OPERATION_INCOMPLETE)
  end)
end

-- The announced packet does come: it is not collected.
scenario("256 MB come", { timeout = 60 }, function(t)
  local p = t:peer()
  local c = t:connect { broker = p }
  local megabyte = ("x"):rep(1 << 20)
  grows_little(function()
    p:send_raw(HUGE)
    for _ = 1, 255 do
      if not pcall(p.send_raw, p, megabyte) then
        break -- the client has gone
      end
      t:sleep(0)
    end
    expect(c:wait_lost()):equals(-3)
  end)
end)

-- A broker that stalls later: keepalive ends it.
scenario("no PINGRESP", function(t)
  local p = t:peer()
  p.down:on("PINGRESP"):drop()
  local c = t:connect { broker = p, keepalive = 1 }
  expect(c:wait_lost()):equals(-1)
end)

-- The same from the other side: the built-in broker.
for name, bytes in pairs {
  garbage = ("\xff"):rep(100),
  ["a web browser"] = "GET / HTTP/1.1\r\n\r\n",
  ["a huge first packet"] = "\x10\xff\xff\xff\x7f",
  ["a huge PUBLISH"] = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a" .. HUGE .. ("x"):rep(1 << 20),
  ["a second CONNECT"] = ("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"):rep(2),
} do
  scenario("the built-in broker gets " .. name, function(t)
    local other = t:connect { broker = t:builtin { message_max = 65536 } }
    local raw = t:raw_client { url = other.url }
    grows_little(function()
      raw:send(bytes)
      expect(raw:wait_closed()):is_one_of { "fin", "reset", "failed" }
    end)
    other:publish("still", "there", { qos = 1 })
  end)
end
scenario("the built-in broker takes what MQTT allows, and no memory for what is announced only", function(t)
  local raw = t:raw_client()
  grows_little(function()
    raw:send("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a" .. HUGE .. "\x00\x01a")
    t:connect():publish("a", "b", { qos = 1 })
  end)
  expect(raw.is_open):is_true()
end)
]=])
local out = program.says("run hostile.lua --capture never -j2", 0)
assert(out:match "\n(%d+) passed, 0 failed, 0 skipped\n$" == "26", out)

program.finish()
