-- Names that are not found, stand for several addresses, or take their time.

local rig = require "mqrig"
local expect, scenario = rig.expect, rig.scenario

local tags = { "names" }

local function port(url)
  return url:match ":(%d+)$"
end

scenario("a name stands for what it is told to", { tags = tags }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  local dns = t:dns "broker.example"
  dns:answer "127.0.0.1"
  local c = t:connect { url = "tcp://Broker.Example:" .. port(peer.url) }
  c:publish("a", "x", { qos = 1 })
  dns:fail "NXDOMAIN"
  c:publish("a", "what is connected stays so", { qos = 1 })
end)

for _, how in ipairs { "NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED" } do
  scenario(how .. " is no connection", { tags = tags }, function(t)
    t:dns("broker.example"):fail(how)
    expect(t:client({ url = "tcp://broker.example" }):try_connect()):equals(-1)
  end)
end

scenario("a name server that does not answer ends at the connect's timeout", { tags = tags }, function(t)
  t:dns("broker.example"):fail "TIMEOUT"
  local c = t:client { url = "tcp://broker.example", timeout = 0.3 }
  local began = t:now()
  expect(c:try_connect()):equals(-1)
  expect(t:now() - began):is_at_least(0.3)
end)

scenario("a look-up takes its time, and counts for the timeout", { tags = tags }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  local url = "tcp://slow.example:" .. port(peer.url)
  t:dns("slow.example"):answer("127.0.0.1"):after_delay "200ms"
  local began = t:now()
  t:connect { url = url }
  expect(t:now() - began):is_at_least(0.2)
  expect(t:client({ url = url, timeout = "100ms" }):try_connect()):equals(-1)
end)

scenario("an address that refuses is passed over for the next", { tags = tags }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  t:dns("two.example"):answer("::1", "127.0.0.1")
  t:connect { url = "tcp://two.example:" .. port(peer.url) }
end)

-- The first says nothing at all: the next does not wait for that.
scenario("an address that does not answer is passed over for the next", { tags = tags }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  local deaf = t:peer { url = "tcp://127.0.0.2:" .. port(peer.url) }
  deaf.down:on("accept"):no_answer()
  t:dns("two.example"):answer("127.0.0.2", "127.0.0.1")
  local began = t:now()
  t:connect { url = "tcp://two.example:" .. port(peer.url) }
  expect(t:now() - began):is_between(0.25, 2)
end)

-- Longer under way than the first round waits: 0.25 s for the one, 0.25 s for the other, then 0.5 s, and it is there.
scenario("several addresses, all of them slow", { tags = tags, net = "sim" }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  local deaf = t:peer { url = "tcp://127.0.0.2:" .. port(peer.url) }
  deaf.down:on("accept"):no_answer()
  rig.net:latency "200ms"
  t:dns("two.example"):answer("127.0.0.2", "127.0.0.1")
  t:connect { url = "tcp://two.example:" .. port(peer.url), timeout = 4 }
  deaf:stop()
  t:connect { url = "tcp://two.example:" .. port(peer.url), timeout = 4 }
end)

scenario("a name that moves: a client that connects again goes where it is now", { tags = tags }, function(t)
  local first = t:peer { url = "tcp://127.0.0.1:0" }
  local second = t:peer { url = "tcp://127.0.0.2:" .. port(first.url) }
  local dns = t:dns("moving.example"):answer "127.0.0.1"
  local c = t:connect { url = "tcp://moving.example:" .. port(first.url) }
  dns:answer "127.0.0.2"
  first:conn():rst()
  expect(c:wait_lost()):equals(-1)
  expect(second:conn()):is_nil()
  c:connect()
  expect(second:conn().client_id):equals(c.id)
  second:conn():rst()
  expect(c:wait_lost()):equals(-1)
  dns:fail "NXDOMAIN"
  expect(c:try_connect()):equals(-1)
end)

scenario("a proxy whose upstream has no name any more refuses new clients only", { tags = tags }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  local dns = t:dns("upstream.example"):answer "127.0.0.1"
  local proxy = t:proxy { upstream = "tcp://upstream.example:" .. port(peer.url) }
  local c = t:connect { url = proxy.url }
  dns:fail "NXDOMAIN"
  expect(t:client({ url = proxy.url }):try_connect()):equals(-1)
  expect(proxy:log()):contains "the name upstream.example was not found: there is no such name (NXDOMAIN, as told)"
  c:publish("a", "x", { qos = 1 })
  dns:answer "127.0.0.1"
  t:connect { url = proxy.url }
end)

scenario("what is no name, and no address, says so", { tags = tags }, function(t)
  expect(function()
    t:dns("127.0.0.1"):fail "NXDOMAIN"
  end):raises '"127.0.0.1" is no name of a host'
  expect(function()
    t:dns("a.example"):answer "b.example"
  end):raises "a name stands for an IPv4 or IPv6 address"
  expect(function()
    t:dns("a.example"):fail "NOTHING"
  end):raises "NXDOMAIN, NODATA, SERVFAIL, REFUSED or TIMEOUT"
end)
