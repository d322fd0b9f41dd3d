-- proxy: a fault proxy inside the program, between any client and any broker: t:proxy { upstream = ... }.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local link = require "mqrig.link"
local log = require "mqrig.log"
local object = require "mqrig.object"
local show = require "mqrig.show"
local simulation = require "mqrig.simulation"

local M = {}

M.URL = "tcp://127.0.0.1:0" -- port 0: a free one

local known = blame.set(
  "upstream url name tls upstream_tls connect_timeout closes accept_max send_buffer receive_buffer"
)
local verbs = "rst fin vanish stall resume close"

-- One proxied connection.

local Conn = {}
local conn_computed = {}

for verb in verbs:gmatch "%S+" do
  Conn[verb] = function(self)
    blame.call(self.conn.act, self.conn, verb)
  end
end

function conn_computed:client_id()
  return blame.call(self.conn.client_id, self.conn)
end

function conn_computed:is_open()
  return self.conn:is_open()
end

function conn_computed:stats()
  return blame.call(self.conn.stats, self.conn)
end

link.give(conn_computed, "up down both", function(self)
  local scope = blame.call(self.conn.scope, self.conn)
  return self.proxy.scenario, scope, ("%s.%d"):format(self.proxy.name, self.number)
end)

M.conn_meta = object.class("proxied_connection", Conn, conn_computed, "number", "conn proxy")

local function wrap(self, conn)
  local number = conn:number()
  local known_conn = self.conns[number]
  if not known_conn then
    known_conn = setmetatable({ proxy = self, conn = conn, number = number }, M.conn_meta)
    self.conns[number] = known_conn
  end
  return known_conn
end

-- The proxy.

local Proxy = {}
local computed = {}

--- Connection n, counted from 1 in the order in which they were accepted; without n the newest that is up. nil if it
--- is not there.
function Proxy:conn(n)
  if n ~= nil then
    return self.conns[n]
  end
  local conn = self.proxy:conn()
  return conn and wrap(self, conn)
end

--- A rule for both directions.
function Proxy:on(...)
  return self.link:on(...)
end

--- Closes the listener and ends all connections; reset = true: by a reset.
function Proxy:stop(options)
  options = blame.options(options, blame.set "reset", "stop")
  self.proxy:stop(options.reset == true)
end

--- Listens again, at the same address.
function Proxy:start()
  blame.call(self.proxy.start, self.proxy)
end

--- What it has to say: connections and their ends.
function Proxy:log()
  return self.lines:text()
end

function Proxy:close()
  blame.call(self.proxy.close, self.proxy)
end

function computed:stats()
  return self.proxy:stats()
end

link.give(computed, "up down both", function(self)
  return self.scenario, self.proxy:scope(), self.name
end)

M.meta = object.class("proxy", Proxy, computed, "url upstream name", "proxy scenario conns lines")
M.meta.__close = Proxy.close

local function listen(self, proxy)
  proxy:on_accept(function(conn)
    self.lines:add(("connection %d accepted\n"):format(wrap(self, conn).number))
  end)
  proxy:on_end(function(conn, why)
    self.lines:add(("connection %d ended: %s\n"):format(conn:number(), why))
  end)
  proxy:on_trouble(function(sentence)
    self.lines:add(sentence .. "\n")
  end)
end

-- A URL, or whatever has one: a broker, a peer, another proxy.
local function url_of(upstream)
  local url = upstream
  if type(upstream) == "table" then
    url = rawget(upstream, "url")
  end
  if type(url) ~= "string" then
    blame.raise(("t:proxy: upstream is a URL, or something that has one, such as a peer, not %s"):format(
      show.value(upstream)))
  end
  return url
end

local secure = { ssl = true, mqtts = true, wss = true }

-- What the core is given for `upstream`, where that is TLS: whoever says `tls` ends it here and begins it anew; where
-- the scenario has certificates without having asked for them, so do its proxies; else it goes through as it is.
-- WebSocket ends and begins here, too, unless it is in TLS that goes through.
local function ways(scenario, options, url)
  local scheme, path = url:match "^(%a+)://[^/?]*([^?]*)"
  local tls = options.tls
  if tls == nil and secure[scheme] and options.upstream_tls == nil and scenario.own_pki then
    tls = scenario.own_pki.server
  end
  if secure[scheme] and not tls and options.upstream_tls == nil then
    return options.url or M.URL, (url:gsub("^%a+(://[^/?]*).*", "tcp%1", 1)), nil, function(own)
      return (own:gsub("^%a+", scheme, 1) .. path)
    end
  elseif options.url then
    return options.url, url, tls
  elseif scheme == "ws" or scheme == "wss" then
    return (tls and "wss" or "ws") .. "://127.0.0.1:0" .. path, url, tls
  end
  return tls and "ssl://127.0.0.1:0" or M.URL, url, tls
end

--- `options.upstream`: default the broker under test. `made`: TLS as the command line has it.
function M.new(scenario, options, name, made)
  options = blame.options(options, known, "t:proxy")
  local upstream = options.upstream
  if upstream == nil then
    upstream = scenario.broker
  end
  local self = setmetatable({
    scenario = scenario,
    name = options.name or name,
    upstream = url_of(upstream),
    conns = {},
    lines = log.new(options.name or name),
  }, M.meta)
  local at, to, tls, seen = options.url, self.upstream, nil, nil
  if not made then
    at, to, tls, seen = ways(scenario, options, self.upstream)
  end
  self.proxy = blame.call(simulation.at, self.name, core.proxy, {
    url = at,
    upstream = to,
    tls = tls,
    upstream_tls = options.upstream_tls,
    tls_made = made,
    name = self.name,
    connect_timeout_ns = options.connect_timeout and blame.duration_ns(options.connect_timeout, "t:proxy"),
    closes = options.closes,
    accept_max = options.accept_max,
    send_buffer = options.send_buffer,
    receive_buffer = options.receive_buffer,
  })
  self.url = self.proxy:url()
  if seen then
    self.url = seen(self.url)
  end
  listen(self, self.proxy)
  scenario:own(self)
  return self
end

return M
