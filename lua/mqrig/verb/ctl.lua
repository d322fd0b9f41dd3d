-- mqrig proxy ctl: the command line of the proxy's control interface, and of any Toxiproxy server.

local core = require "mqrig.core"
local dkjson = require "dkjson"
local environment = require "mqrig.environment"
local http = require "mqrig.http"
local near = require "mqrig.near"
local text = require "mqrig.text"
local units = require "mqrig.units"

local M = { summary = "drive a proxy's control interface" }

M.FAILED, M.ENVIRONMENT = 1, 5
M.PORT = 8474
M.URL_VARIABLE = "TOXIPROXY_URL"
M.TIMEOUT_S = 10

local types = { "latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "mqtt" }

local function complain(sentence)
  io.stderr:write("mqrig: ", text.printable(sentence), "\n")
end

-- The command line.

-- Both names on one line of the help, instead of one below the other.
local function option(command, short, long, argument, help)
  local made = command:option(short .. " " .. long, help):argname(argument)
  function made._get_label_lines()
    return { ("%s, %s %s"):format(short, long, argument) }
  end
  return made
end

local function proxy_argument(command)
  command:argument("proxy", "its name")
end

local function toxic_options(command)
  option(command, "-a", "--attribute", "KEY=VALUE",
    "as in latency=250 or rule='up PUBLISH nth 3 rst'; may be repeated"):count "*"
  command:option("--toxicity", "the share of connections that are struck, 0 to 1"):argname "SHARE"
end

local function configure_toxic(toxic, add)
  local function put(name, summary)
    local command = add(toxic, name, summary)
    proxy_argument(command)
    return command
  end
  local adding = put("add", "add one to a proxy")
  option(adding, "-t", "--type", "TYPE", table.concat(types, ", "))
  option(adding, "-n", "--name", "NAME", "its name (default TYPE_downstream, TYPE_upstream)")
  adding:flag("-u --upstream", "for what goes from the client to the broker")
  adding:flag("-d --downstream", "for what goes from the broker to the client (default)")
  toxic_options(adding)
  local update = put("update", "change its attributes or its toxicity")
  option(update, "-n", "--name", "NAME", "which toxic")
  toxic_options(update)
  option(put("remove", "take it out"), "-n", "--name", "NAME", "which toxic")
end

function M.configure(parser, cli)
  parser:description(text.flow [[
Asks and changes a proxy that has a control interface: mqrig proxy --control, mqrig-proxy --control, or a Toxiproxy
server. Exit status: 0 done, 1 the server would not, 2 wrong usage, 5 nobody answers there.]])
  parser:option("--url", ("where the interface is: a port, host:port, http://host:port (default $%s, or %d)"):format(
    M.URL_VARIABLE, M.PORT)):argname "ADDR"
  parser:option("--timeout", ("for each answer (default %d s)"):format(M.TIMEOUT_S)):argname "D"
  parser:flag("--json", "what the server answers, as it is")
  parser:command_target "action"
  local function add(to, name, summary)
    local command = to:command(name):summary(summary):description(summary)
    cli:add_style(command)
    return command
  end
  add(parser, "list", "show all proxies")
  proxy_argument(add(parser, "inspect", "show a proxy and its toxics"))
  local create = add(parser, "create", "make a proxy")
  proxy_argument(create)
  option(create, "-l", "--listen", "ADDR", "where it listens; port 0, and the default: a free one")
  option(create, "-u", "--upstream", "ADDR", "where it goes on to")
  create:flag("--disabled", "does not listen before it is toggled")
  proxy_argument(add(parser, "delete", "remove a proxy, and end its connections"))
  proxy_argument(add(parser, "toggle", "disable a proxy that is enabled, and the other way round"))
  add(parser, "reset", "enable all proxies, remove all toxics")
  add(parser, "populate", "make or replace the proxies of a JSON array"):argument("file", 'a file; "-": standard input')
  local toxic = add(parser, "toxic", "add, change and remove toxics")
  toxic:command_target "change"
  configure_toxic(toxic, add)
end

-- Asking.

local Session = {}
Session.__index = Session

local function escape(name)
  return (name:gsub("[^%w._~-]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local function path(proxy, toxic)
  return "/proxies/" .. escape(proxy) .. (toxic and "/toxics/" .. escape(toxic) or "")
end

-- The name that is not there, if that is why: a proxy's or a toxic's, and how it is spelled here.
function Session:missing(about)
  local _, all = self:call("GET", about.toxic and path(about.proxy) or "/proxies")
  local names = {}
  if about.toxic and type(all) == "table" then
    for _, toxic in ipairs(all.toxics or {}) do
      names[#names + 1] = toxic.name
    end
  elseif type(all) == "table" then
    names = near.keys(all)
  end
  table.sort(names)
  local hint = near.suggest(about.toxic or about.proxy, names)
    or (#names > 0 and text.cut("there is " .. table.concat(names, ", "), 200) or "there is none")
  return about.toxic and ('proxy "%s" has no toxic "%s", %s'):format(about.proxy, about.toxic, hint)
    or ('there is no proxy "%s", %s'):format(about.proxy, hint)
end

-- A refusal as a sentence. `about`: the names in the request.
function Session:sentence(status, answer, about)
  local said = type(answer) == "table" and (answer.error or answer.title)
  if about and status == 404 and about.toxic and tostring(said):find "proxy" then
    return self:missing { proxy = about.proxy }
  elseif about and status == 404 then
    return self:missing(about)
  elseif about and status == 409 then
    return about.new_toxic and ('proxy "%s" has a toxic "%s" already'):format(about.proxy, about.new_toxic)
      or ('there is a proxy "%s" already'):format(about.proxy)
  end
  return ("%s answers %d: %s"):format(self.at, status, said or "no reason is given")
end

-- Status and the answer, decoded and as it came; nil and the sentence of a failure that no server told.
function Session:call(method, where, body)
  local bytes = body and (type(body) == "string" and body or dkjson.encode(body))
  local status, answer, heard = http.request(self.url, method, where, bytes, self.timeout_s)
  if status then
    return status, dkjson.decode(answer), answer
  elseif heard then
    return nil, ("%s: %s"):format(self.at, answer)
  end
  return nil, ("nobody listens at %s: %s. Start one with: mqrig proxy LISTEN UPSTREAM --control ADDR, or name another "
    .. "by --url"):format(self.at, answer)
end

-- The decoded answer and its text; or nil after a complaint, and the exit status.
function Session:ask(method, where, body, about)
  local status, answer, bytes = self:call(method, where, body)
  if not status then
    complain(answer)
    return nil, M.ENVIRONMENT
  elseif status >= 300 then
    complain(self:sentence(status, answer, about))
    return nil, M.FAILED
  end
  return answer or {}, bytes
end

-- Showing.

local function show_toxic(toxic)
  local attributes = {}
  for _, key in ipairs(near.keys(toxic.attributes or {})) do
    attributes[#attributes + 1] = ("%s=%s"):format(key, text.printable(tostring(toxic.attributes[key])))
  end
  return ("%-10s  %-12s %s  toxicity %s  %s"):format(toxic.stream, toxic.type, text.printable(toxic.name),
    tostring(toxic.toxicity), table.concat(attributes, " "))
end

local function show_proxy(proxy, width)
  local toxics = #(proxy.toxics or {})
  local name = text.printable(proxy.name)
  return ("%s%s  %s -> %s  %s, %s"):format(name, (" "):rep((width or 0) - #name), proxy.listen, proxy.upstream,
    proxy.enabled and "enabled" or "disabled",
    toxics == 0 and "no toxics" or toxics .. (toxics == 1 and " toxic" or " toxics"))
end

local function say(...)
  io.write(table.concat { ... }, "\n")
end

local function show_all(proxies)
  local names, width = near.keys(proxies), 0
  for _, name in ipairs(names) do
    width = math.max(width, #text.printable(name))
  end
  for _, name in ipairs(names) do
    say(show_proxy(proxies[name], width))
  end
  if #names == 0 then
    say "no proxies"
  end
end

local function show_whole(proxy)
  say(show_proxy(proxy))
  for _, toxic in ipairs(proxy.toxics or {}) do
    say("  ", show_toxic(toxic))
  end
end

-- What is done. Each returns the answer, its text, and who shows it; or nil and the exit status.

local actions = {}

function actions.list(session)
  local all, bytes = session:ask("GET", "/proxies")
  return all, bytes, show_all
end

function actions.inspect(session, given)
  local proxy, bytes = session:ask("GET", path(given.proxy), nil, given)
  return proxy, bytes, show_whole
end

function actions.create(session, given)
  local order = { name = given.proxy, listen = given.listen or "127.0.0.1:0", upstream = given.upstream,
    enabled = not given.disabled }
  local proxy, bytes = session:ask("POST", "/proxies", order, given)
  return proxy, bytes, show_whole
end

function actions.delete(session, given)
  local done, bytes = session:ask("DELETE", path(given.proxy), nil, given)
  return done, bytes, function()
    say("deleted ", given.proxy)
  end
end

function actions.toggle(session, given)
  local proxy, bytes = session:ask("GET", path(given.proxy), nil, given)
  if proxy then
    proxy, bytes = session:ask("POST", path(given.proxy), { enabled = not proxy.enabled }, given)
  end
  return proxy, bytes, show_whole
end

function actions.reset(session)
  local done, bytes = session:ask("POST", "/reset")
  return done, bytes, function()
    say "all proxies are enabled, all toxics removed"
  end
end

function actions.populate(session, given)
  local done, bytes = session:ask("POST", "/populate", given.content)
  return done, bytes, function()
    for _, proxy in ipairs(done.proxies or {}) do
      show_whole(proxy)
    end
  end
end

actions["toxic add"] = function(session, given)
  local stream = given.upstream and "upstream" or "downstream"
  local name = given.name or ("%s_%s"):format(given.type, stream)
  local toxic, bytes = session:ask("POST", path(given.proxy) .. "/toxics", {
    name = name, type = given.type, stream = stream, toxicity = given.toxicity, attributes = given.attributes,
  }, { proxy = given.proxy, new_toxic = name })
  return toxic, bytes, function()
    say(show_toxic(toxic))
  end
end

actions["toxic update"] = function(session, given)
  local toxic, bytes = session:ask("POST", path(given.proxy, given.name), {
    toxicity = given.toxicity, attributes = next(given.attributes) and given.attributes or nil,
  }, { proxy = given.proxy, toxic = given.name })
  return toxic, bytes, function()
    say(show_toxic(toxic))
  end
end

actions["toxic remove"] = function(session, given)
  local done, bytes = session:ask("DELETE", path(given.proxy, given.name), nil,
    { proxy = given.proxy, toxic = given.name })
  return done, bytes, function()
    say("removed ", given.name, " from ", given.proxy)
  end
end

-- Checking what was given.

local needed = {
  create = { upstream = "-u/--upstream" },
  ["toxic add"] = { type = "-t/--type" },
  ["toxic update"] = { name = "-n/--name" },
  ["toxic remove"] = { name = "-n/--name" },
}

-- The URL for http.request, and how people write it; nil, a sentence.
local function address(given)
  local rest = given:gsub("^https?://", ""):gsub("/$", "")
  if given:find "^https://" then
    return nil, "the control interface has no https://"
  elseif rest:find "^%d+$" then
    rest = "127.0.0.1:" .. rest
  elseif not rest:find ":%d+$" then
    rest = rest .. ":" .. M.PORT
  end
  local good, sentence = core.url_check("tcp://" .. rest)
  return good and "tcp://" .. rest, good and "http://" .. rest or sentence
end

local function attributes_of(list)
  local attributes = setmetatable({}, { __jsontype = "object" })
  for _, one in ipairs(list or {}) do
    local key, value = one:match "^([^=]+)=(.*)$"
    if not key then
      return nil, ('--attribute is KEY=VALUE, not "%s"'):format(text.printable(one))
    end
    attributes[key] = math.tointeger(tonumber(value)) or tonumber(value) or value
  end
  return attributes
end

local function read_file(name)
  if name == "-" then
    return io.read "a"
  end
  local file, problem = io.open(name, "rb")
  if not file then
    return nil, problem
  end
  local content = file:read "a"
  file:close()
  return content
end

-- The action's name; nil, a sentence.
local function check(given)
  local action = given.change and "toxic " .. given.change or given.action
  for key, option in pairs(needed[action] or {}) do
    if not given[key] then
      return nil, ("%s needs %s"):format(action, option)
    end
  end
  local sentence
  if given.toxicity then
    local share = tonumber(given.toxicity)
    if not share or share < 0 or share > 1 then
      return nil, ('--toxicity is a share from 0 to 1, not "%s"'):format(text.printable(given.toxicity))
    end
    given.toxicity = share
  end
  if given.change and given.upstream and given.downstream then
    return nil, "-u/--upstream and -d/--downstream exclude each other"
  end
  given.attributes, sentence = attributes_of(given.attribute)
  if given.file then
    given.content, sentence = read_file(given.file)
  end
  return not sentence and action or nil, sentence
end

local function open(given)
  local url, at = address(given.url or os.getenv(M.URL_VARIABLE) or tostring(M.PORT))
  local timeout_s, sentence = M.TIMEOUT_S, not url and "--url: " .. at or nil
  if given.timeout then
    timeout_s, sentence = units.parse_duration(given.timeout)
    sentence = sentence and "--timeout: " .. sentence
  end
  return not sentence and setmetatable({ url = url, at = at, timeout_s = timeout_s }, Session) or nil, sentence
end

function M.run(given)
  local action, sentence = check(given)
  local session
  if action then
    session, sentence = open(given)
  end
  if not session then
    return nil, sentence
  end
  sentence = environment.open()
  if sentence then
    complain(sentence)
    return M.ENVIRONMENT
  end
  local answer, bytes, show = actions[action](session, given)
  core.close()
  if not answer then
    return bytes
  elseif not given.json then
    show(answer)
  elseif bytes ~= "" then
    say(bytes)
  end
  return 0
end

return M
