-- mqrig proxy: a fault proxy by itself, between any client and any broker, until a signal ends it.

local core = require "mqrig.core"
local ctl = require "mqrig.verb.ctl"
local environment = require "mqrig.environment"
local task = require "mqrig.task"
local text = require "mqrig.text"
local units = require "mqrig.units"

local M = { summary = "stand between clients and a broker, and break what rules say" }

M.UNMET, M.LOAD, M.ENVIRONMENT = 1, 3, 5

-- Whether the words are about what stands under this verb: "proxy ctl ..." and "help proxy ctl".
local function means_ctl(words)
  local at = words[1] == "help" and 2 or 1
  return words[at] == "proxy" and words[at + 1] == "ctl"
end

local function configure_ctl(parser, cli)
  local command = parser:command("ctl"):summary(ctl.summary)
  cli:add_style(command)
  ctl.configure(command, cli)
  cli.under["proxy ctl"] = command
end

function M.configure(parser, cli)
  parser:require_command(false):command_target "under"
  if means_ctl(cli.words) or cli.words[1] == "completion" then
    configure_ctl(parser, cli)
  end
  if not means_ctl(cli.words) then
    M.configure_serving(parser)
  end
end

function M.configure_serving(parser)
  parser:description(text.flow [[
Listens at LISTEN and connects each client to UPSTREAM, on and on until SIGINT or SIGTERM, and prints a line for each
connection that begins or ends and for each rule that fires; at the end a summary. Exit status: 0 ended by a signal,
1 a rule with must_fire did not fire as often or the script failed, 2 wrong usage, 3 the script did not load, 5 the
address cannot be listened at, or the capture not be written. The program mqrig-proxy does the same without scripts.
With --control and no addresses there are only the proxies that are made over HTTP. `mqrig proxy ctl --help` shows
the command line of a control interface.]])
  parser:argument("listen", "tcp://127.0.0.1:1884, 127.0.0.1:1884, unix:///tmp/proxy.sock; port 0: a free one"):args "?"
  parser:argument("upstream", "the broker, in the same forms"):args "?"
  parser:option("--fault", "a fault rule, as in 'up PUBLISH nth 3 rst'; may be repeated"):argname("RULE"):count "*"
  parser:option("--script", "a Lua file that is given `proxy`, as t:proxy() gives it, and may wait"):argname "FILE"
  parser:option("--control", "serve Toxiproxy's HTTP interface there: a port of 127.0.0.1, or host:port; LISTEN and "
    .. 'UPSTREAM are its proxy "mqtt"'):argname "ADDR"
  parser:option("--control-host", "a host name by which the interface may be called, besides localhost and addresses; "
    .. "may be repeated"):argname("NAME"):count "*"
  parser:option("--capture", "write what goes through as packets for an analyser (pcapng), faults as comments")
    :argname "FILE"
  parser:option("--max-connections", "accept no more than so many at once (default: what the limit of descriptors "
    .. "allows)"):argname "N"
  parser:option("--connect-timeout", "for connecting to the upstream (default 10s)"):argname "D"
  parser:option("--refuse-by", "what a client sees where the upstream cannot be reached (default reset)")
    :argname "reset|close"
  parser:option("--seed", "what draws of rules begin with (default: a new one; it is printed)"):argname "N"
  parser:flag("--json", "JSON lines")
  parser:flag("--quiet", "no line for connections and firings")
  M.configure_tls(parser)
end

-- The options are many, and each is there for both sides: help lists them once.
function M.configure_tls(parser)
  local lines = { text.flow [[
LISTEN and UPSTREAM can be ssl://, mqtts://, ws:// and wss://, too. TLS ends here and begins anew; where both are tcp://
it goes through as it is, and rules on packets see none. Where no certificate is given to listen with, one is made for
the run, and the file with its CA is named. --tls-NAME is about the clients' side, --upstream-tls-NAME about the
upstream's:]], "" }
  for _, option in ipairs(core.proxy_tls_options()) do
    for _, name in ipairs { option.clients, option.upstream } do
      local element = option.argument and parser:option("--" .. name, option.help):argname(option.argument)
        or parser:flag("--" .. name, option.help)
      element:hidden(true)
    end
    local left = option.name .. (option.argument and " " .. option.argument or "")
    lines[#lines + 1] = ("   %-30s %s"):format(left, option.help)
  end
  parser:epilog(table.concat(lines, "\n"))
end

-- Those that were given, as core.proxy_tls takes them.
local function tls_of(arguments)
  local given = {}
  for _, option in ipairs(core.proxy_tls_options()) do
    for _, name in ipairs { option.clients, option.upstream } do
      local value = arguments[name:gsub("-", "_")]
      if value then
        given[#given + 1] = { name, value ~= true and value or nil }
      end
    end
  end
  return given
end

local function complain(sentence)
  io.stderr:write("mqrig: ", text.printable(sentence), "\n")
end

-- The URL; nil, a sentence.
local function address(given, what)
  local url = given
  if not given:find("://", 1, true) then
    url = (given:sub(1, 1) == ":" and "tcp://localhost" or "tcp://") .. given
  end
  local parts, sentence = core.url_check(url)
  return parts and url, not parts and ("%s: %s"):format(what, sentence) or nil
end

-- What a proxy and its rules need of a scenario.
local StandIn = {}
StandIn.__index = StandIn

function StandIn:keep_rule(handle)
  self.rules[#self.rules + 1] = handle
end

function StandIn.keep_builder() end
function StandIn.own() end

local function load_script(file)
  local env = setmetatable({}, { __index = _G })
  local chunk, sentence = loadfile(file, "t", env)
  return chunk, sentence, env
end

local function seed_of(given)
  if not given then
    return core.now() % 2147483647
  end
  local seed = given:match "^%d+$" and math.tointeger(tonumber(given))
  return seed, not seed and ('--seed is a whole number, not "%s"'):format(text.printable(given)) or nil
end

-- How it accepts and connects; nil, a sentence.
local function check_connecting(arguments)
  local how = { closes = arguments.refuse_by == "close" }
  local most = arguments.max_connections
  if most then
    how.accept_max = math.tointeger(tonumber(most))
    if not how.accept_max or how.accept_max < 1 or how.accept_max > 0x7fffffff then
      return nil, ('--max-connections is a whole number from 1 on, not "%s"'):format(text.printable(most))
    end
  end
  if arguments.connect_timeout then
    local seconds, why = units.parse_duration(arguments.connect_timeout)
    if why or seconds <= 0 then
      return nil, "--connect-timeout: " .. (why or "more than no time is needed")
    end
    how.connect_timeout = seconds
  end
  if arguments.refuse_by and arguments.refuse_by ~= "reset" and not how.closes then
    return nil, ('--refuse-by is reset or close, not "%s"'):format(text.printable(arguments.refuse_by))
  end
  return how
end

-- The addresses that are there, checked; nil, a sentence.
local function check_addresses(arguments)
  local only_control = arguments.control and #arguments.fault == 0 and not arguments.script
  if not arguments.listen and only_control then
    return {}
  elseif not arguments.upstream then
    return nil, ("%s is missing"):format(arguments.listen and "UPSTREAM" or "LISTEN")
  end
  local url, sentence = address(arguments.listen, "LISTEN")
  local upstream
  if url then
    upstream, sentence = address(arguments.upstream, "UPSTREAM")
  end
  return not sentence and { url = url, upstream = upstream } or nil, sentence
end

local function check(arguments)
  local options, sentence = check_addresses(arguments)
  if options and arguments.control then
    local good, why = core.control_check(arguments.control)
    sentence = not good and "--control: " .. why or nil
  end
  for _, rule in ipairs(arguments.fault) do
    local good, why = core.rule_check(rule)
    if not good then
      sentence = sentence or ('--fault "%s": %s'):format(text.printable(rule), why)
    end
  end
  if options and not sentence then
    options.how, sentence = check_connecting(arguments)
  end
  if options and not sentence then
    options.seed, sentence = seed_of(arguments.seed)
  end
  return not sentence and options or nil, sentence
end

local function unmet(rules)
  for _, handle in ipairs(rules) do
    if handle.text:find " must_fire" and not handle.raw:met() then
      return true
    end
  end
end

-- Runs until a signal; the exit status.
local function serve(scheduler, script, proxy)
  local main = scheduler:spawn(function()
    task.suspend(math.maxinteger, "a signal")
  end)
  if script then
    scheduler:spawn(script, proxy)
  end
  if scheduler:run(main, math.maxinteger) == "failed" then
    complain(tostring(scheduler.failure.error))
    return M.UNMET
  end
  return 0
end

-- What runs: the proxy, its control interface and the capture, each if it is wanted. Nil, a sentence and a status.
local Running = {}
Running.__index = Running

local function stripped(sentence)
  return (tostring(sentence):gsub("^[^ ]+:%d+: ", ""))
end

function Running:open_tls(options, arguments)
  self.status = 2
  self.made = core.proxy_tls { listen = options.url, upstream = options.upstream, fixed = not arguments.control,
    options = tls_of(arguments) }
  self.status = M.ENVIRONMENT
  self.made:publish()
  self.made:tell(self.line, arguments.json)
end

function Running:open_proxy(stand, options, arguments)
  local how = options.how
  local proxy = require("mqrig.proxy").new(stand, { url = options.url, upstream = options.upstream,
    closes = how.closes, accept_max = how.accept_max, connect_timeout = how.connect_timeout }, "proxy", self.made)
  self.proxy = proxy
  for _, rule in ipairs(arguments.fault) do
    local added, sentence = pcall(proxy.link.rule, proxy.link, rule)
    if not added then
      self.status = 2
      error(sentence, 0)
    end
  end
  if self.record then
    proxy.proxy:record(self.record)
  end
  proxy.proxy:log(self.line, { json = arguments.json, quiet = arguments.quiet, seed = options.seed })
end

function Running:open_control(options, arguments)
  self.control = core.control {
    at = arguments.control, proxy = self.proxy and self.proxy.proxy, hosts = arguments.control_host,
    seed = options.seed, record = self.record, json = arguments.json, quiet = arguments.quiet, line = self.line,
    closes = options.how.closes, accept_max = options.how.accept_max,
    connect_timeout_ns = options.how.connect_timeout and math.floor(options.how.connect_timeout * 1e9),
    tls_made = self.made,
  }
  local url = self.control:url()
  self.line(arguments.json and ('{"event":"control","url":"%s"}'):format(url) or "control at " .. url)
end

local function open(stand, options, arguments)
  local self = setmetatable({ status = M.ENVIRONMENT }, Running)
  function self.line(line)
    io.stdout:write(line, "\n")
  end
  local ok, sentence = pcall(function()
    self:open_tls(options, arguments)
    self.record = arguments.capture and core.record(arguments.capture, "mqrig proxy")
    if options.url then
      self:open_proxy(stand, options, arguments)
    end
    if arguments.control then
      self:open_control(options, arguments)
    end
  end)
  return ok and self or nil, ok or stripped(sentence), self.status
end

function Running:summary()
  if self.proxy then
    self.proxy.proxy:stop()
  end
  local told = self.control and self.control:summary()
  if self.proxy and not told then
    self.proxy.proxy:summary()
  end
end

-- True; nil and why the capture is not whole.
function Running:close()
  if self.control then
    self.control:close()
  end
  if self.proxy then
    self.proxy:close()
  end
  self.made:close()
  if self.record then
    return self.record:close()
  end
  return true
end

local function run_open(arguments, options, script, env)
  local over = false
  local scheduler = task.new(math.maxinteger, function()
    return over and "a signal" or nil
  end)
  local stand = setmetatable({ scheduler = scheduler, rules = {} }, StandIn)
  core.on_error(complain)
  core.on_signal(function()
    over = true
  end)
  core.seed(options.seed)
  io.stdout:setvbuf "line"
  local running, sentence, status = open(stand, options, arguments)
  if not running then
    complain(sentence)
    return status
  end
  if env then
    env.proxy = running.proxy
  end
  status = serve(scheduler, script, running.proxy)
  running:summary()
  scheduler:cancel_all()
  local whole, why = running:close()
  if not whole then
    complain(why)
    status = status == 0 and M.ENVIRONMENT or status
  end
  return status == 0 and unmet(stand.rules) and M.UNMET or status
end

function M.run(arguments)
  if arguments.under then
    return ctl.run(arguments)
  end
  local options, sentence = check(arguments)
  if not options then
    return nil, sentence
  end
  local script, problem, env
  if arguments.script then
    script, problem, env = load_script(arguments.script)
    if not script then
      complain(problem)
      return M.LOAD
    end
  end
  sentence = environment.open()
  if sentence then
    complain(sentence)
    return M.ENVIRONMENT
  end
  local status = run_open(arguments, options, script, env)
  core.on_signal(nil)
  core.close()
  return status
end

return M
