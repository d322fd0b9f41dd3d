-- What a URL may say of a client, besides where its broker is.

local rig = require "mqrig"
local expect, scenario = rig.expect, rig.scenario

scenario("a URL brings user name and password, with escapes", { tags = { "names" } }, function(t)
  local peer = t:peer { url = "tcp://127.0.0.1:0" }
  local url = peer.url:gsub("//", "//user%%40home:p%%3a%%2f@")
  local c = t:connect { url = url }
  local connect = c:wait_sent "CONNECT"
  expect(connect.username):equals "user@home"
  expect(connect.password):equals "p:/"
  c:disconnect()
  c = t:connect { url = url, username = "other" }
  connect = c:wait_sent "CONNECT"
  expect(connect.username):equals "other"
  expect(connect.password):is_nil()
end)

scenario("an IPv6 address stands in brackets", { tags = { "names" } }, function(t)
  local peer = t:peer { url = "tcp://[::1]:0" }
  expect(peer.url):matches "^tcp://%[::1%]:%d+$"
  t:connect({ broker = peer }):publish("a", "x", { qos = 1 })
end)

for _, case in ipairs {
  { "tcp://", "no host: write tcp://localhost:1883, at column 7" },
  { "tcp://localhost:65536", 'bad port "65536": a number from 0 to 65535, at column 17' },
  { "tcp://::1:1883", "'%:' cannot be in the host .* is written in brackets, tcp://%[::1%]:1883, at column 7" },
  { "tcp://[::g]", '"%[::g%]" is no IPv6 address, at column 8' },
  { "tcp://[::1", "no %] behind the IPv6 address, at column 7" },
  { "tcp://u%4@h", "a %% without two hexadecimal digits behind it %(a %% itself is written %%25%), at column 8" },
  { "tcp://@h", "no user name in front of the @, at column 7" },
  { "ws://h/a b", "a blank or control character: write it %%20, at column 9" },
  { "tcp://h/path", "a tcp URL has no path" },
  { "tcp://h\0/", "the URL has a zero byte, at column 8" },
  { "http://h", 'unknown scheme "http" in the URL: use one of tcp, mqtt' },
} do
  scenario("what is no URL says so: " .. case[1]:gsub("%c", "(zero)"), { tags = { "names" } }, function(t)
    expect(function()
      t:client({ url = case[1] }):connect()
    end):raises(case[2])
  end)
end
