-- settings: what a run is told. Flags go before MQRIG_NAME in the environment, that before the keys of .mqrig.lua, and
-- those before the defaults.
--
-- `fields` is the one table of them: the command line's flags, the help, the names in the environment and in the file
-- are all made of it. Each value is checked where it comes in, and an error names where that was.

local checks = require "mqrig.checks"
local core = require "mqrig.core"
local near = require "mqrig.near"

local M = {}

M.FILE = ".mqrig.lua"
M.REPEAT_MAX = 1000000
M.FILE_TIME_S = 2 -- for the settings file to return

--- name (as the key of the settings table and of the file; "-" for "_" on the command line), short, kind ("value",
--- "flag", or "list"), argument and help for people, check, default, split (what separates items in one text), again
--- (goes into the command that runs a failure again), group (of the help), words (what can be completed, where
--- `argument` does not say).
M.fields = {
  { name = "filter", short = "f", kind = "list", argument = "TEXT", check = checks.text, group = "which",
    help = "only scenarios whose file or name has TEXT in it" },
  { name = "exclude", kind = "list", argument = "TEXT", check = checks.text, group = "which",
    help = "none whose file or name has TEXT in it" },
  { name = "tag", short = "t", kind = "list", argument = "A,!B", check = checks.tag, split = ",", group = "which",
    help = "only those with every tag named, and with none that has ! in front" },
  { name = "clause", kind = "list", argument = "ID", check = checks.text, split = ",", group = "which",
    help = "only those about this clause of the standard" },
  { name = "last_failed", kind = "flag", group = "which",
    help = "only those that failed in the last run (kept in --out)" },
  { name = "list", short = "l", kind = "flag", group = "which", help = "show what would run, run nothing" },
  { name = "shard", kind = "value", argument = "I/N", check = checks.shard, group = "which",
    help = "the I-th of N equal parts, as for N machines" },
  { name = "no_tests", kind = "value", argument = "fail|pass", check = checks.choice("fail", "pass"), default = "fail",
    group = "which", help = "what an empty selection is: exit 4 or exit 0 (default fail)" },

  { name = "jobs", short = "j", kind = "value", argument = "N|auto", check = checks.jobs, default = 1, group = "how",
    help = "worker processes (default 1; auto: one for each processor)" },
  { name = "shuffle", kind = "flag", group = "how", help = "in an order drawn from the seed" },
  { name = "seed", kind = "value", argument = "N", check = checks.whole(0, math.maxinteger), group = "how",
    help = "seed of all that is random (default: a new one; always printed)" },
  { name = "timeout", kind = "value", argument = "D", check = checks.duration, default = 10, again = true,
    group = "how", help = "for a scenario that states none, as in 500ms, 30s, 2m (default 10s)" },
  { name = "real_timeout", kind = "value", argument = "D", check = checks.duration, default = 60, again = true,
    group = "how", help = "of real time, for a scenario with --net sim, where --timeout is virtual (default 60s)" },
  { name = "twice", kind = "flag", again = true, group = "how",
    help = "with --net sim: run each again in another process, and fail where it differs" },
  { name = "run_timeout", kind = "value", argument = "D", check = checks.duration, group = "how",
    help = "for the whole run; expired: exit 124" },
  { name = "repeat", kind = "value", argument = "N", check = checks.whole(1, M.REPEAT_MAX), default = 1, group = "how",
    help = "N times over, the seed one higher each time" },
  { name = "until_fail", kind = "flag", group = "how",
    help = "again and again until one fails (at most --repeat times if given)" },
  { name = "fail_fast", short = "x", kind = "flag", group = "how",
    help = "start no other scenario after the first failure" },
  { name = "memory", kind = "value", argument = "SIZE", check = checks.size, default = 512 << 20, group = "how",
    help = "for a scenario's own data, as in 64m (default 512m; 0: no limit)" },

  { name = "broker", kind = "value", argument = "builtin|mosquitto|URL", check = checks.broker, default = "builtin",
    again = true, group = "what", help = "the broker under test (default builtin)" },
  { name = "net", kind = "value", argument = "real|sim", check = checks.net, default = "real", again = true,
    group = "what",
    help = "real sockets, or virtual hosts in virtual time, from the seed (default real; explore: sim)" },
  { name = "transport", kind = "value", argument = "tcp|unix|tls|ws|wss",
    check = checks.choice("tcp", "unix", "tls", "ws", "wss"), default = "tcp", again = true, group = "what",
    help = "how brokers and peers are reached that a scenario makes without a URL (default tcp)" },
  { name = "mqtt", short = "V", kind = "value", argument = "3.1.1|5", check = checks.version, default = "3.1.1",
    again = true, group = "what", help = "version of MQTT; this build speaks 3.1.1" },
  { name = "fault", kind = "list", argument = "RULE", check = checks.rule, split = ";", again = true, group = "what",
    help = "a fault rule on every client link, as in 'up PUBLISH nth 3 rst'" },
  { name = "param", short = "p", kind = "list", argument = "K=V", check = checks.param, split = ",", again = true,
    group = "what", help = "a value for t.params" },
  { name = "defect", kind = "value", argument = "NAME", check = checks.defect, again = true, group = "what",
    help = "have mqrig's own client or broker do this wrong, to see what notices it" },

  { name = "report", short = "r", kind = "list", argument = "FORMAT[:FILE]", check = checks.report, split = ",",
    group = "output", words = "pretty|tap|junit|json",
    help = "pretty, tap, junit or json, to FILE or standard output; may be repeated (default pretty)" },
  { name = "verbose", short = "v", kind = "flag", group = "output",
    help = "logs and output of those that passed, too" },
  { name = "quiet", short = "q", kind = "flag", group = "output", help = "failures and the last line only" },
  { name = "color", kind = "value", argument = "auto|always|never", check = checks.choice("auto", "always", "never"),
    default = "auto", group = "output", help = "colours (default auto; NO_COLOR and CLICOLOR_FORCE are heeded)" },
  { name = "capture", kind = "value", argument = "on-failure|always|never",
    check = checks.choice("on-failure", "always", "never"), default = "on-failure",
    group = "output",
    help = "write all packets to --out, as text and as pcapng for Wireshark (default on-failure)" },
  { name = "out", kind = "value", argument = "DIR", check = checks.text, default = "mqrig-out", group = "output",
    help = "where captures and the list of failures go (default mqrig-out)" },
}

M.by_name = {}
for _, field in ipairs(M.fields) do
  M.by_name[field.name] = field
end

function M.flag(field)
  return "--" .. field.name:gsub("_", "-")
end

function M.variable(field)
  return "MQRIG_" .. field.name:upper()
end

local function split_items(value, separator)
  if type(value) ~= "string" then
    return { value }
  elseif not separator then
    return { value }
  end
  local items = {}
  for item in (value .. separator):gmatch("(.-)%" .. separator) do
    item = item:match "^%s*(.-)%s*$"
    if item ~= "" then
      items[#items + 1] = item
    end
  end
  return #items > 0 and items or { value }
end

-- A table of the file: an array, or for `param` names and values.
local function listed(field, value)
  if type(value) ~= "table" then
    return { value }
  elseif field.name ~= "param" or value[1] ~= nil then
    return value
  end
  local items = {}
  for _, key in ipairs(near.keys(value)) do
    items[#items + 1] = key .. "=" .. tostring(value[key])
  end
  return items
end

local function check_list(field, value, split)
  local result = {}
  for _, given in ipairs(listed(field, value)) do
    for _, item in ipairs(split_items(given, split)) do
      local kept, sentence = field.check(item)
      if kept == nil then
        return nil, sentence
      end
      result[#result + 1] = kept
    end
  end
  return result
end

-- The value of a field from one place, checked; or nil and the whole sentence.
local function take(field, value, from, split)
  local kept, sentence
  if field.kind == "flag" then
    kept, sentence = checks.flag(value)
  elseif field.kind == "list" then
    kept, sentence = check_list(field, value, split)
  elseif type(value) == "table" or type(value) == "boolean" then
    sentence = "needs one value, not a " .. type(value)
  else
    kept, sentence = field.check(value)
  end
  if kept == nil then
    return nil, ("%s %s"):format(from, sentence)
  end
  return kept
end

local function default_of(field)
  if field.kind == "list" then
    return {}
  elseif field.kind == "flag" then
    return false
  end
  return field.default
end

-- Where the value of a field comes from: the value, how that place is called, and what splits a text of it.
local function find_value(field, arguments, getenv, file)
  local name = field.name
  if arguments[name] ~= nil then
    -- A text on the command line may hold several tags or clauses; a rule or a report is one argument each.
    return arguments[name], M.flag(field), (name == "tag" or name == "clause") and field.split or nil
  end
  local variable = getenv(M.variable(field))
  if variable and variable ~= "" then
    return variable, M.variable(field) .. " in the environment", field.split
  end
  if file[name] ~= nil then
    return file[name], ('"%s" in %s'):format(name, M.FILE), field.split
  end
end

--- The settings: { name = value, given = { name = true where it is not the default's } }, or nil and a sentence.
--- `arguments`: name -> text, list of texts, or true; `getenv` as os.getenv; `file`: the table of read_file.
function M.resolve(arguments, getenv, file)
  local settings = { given = {} }
  for _, field in ipairs(M.fields) do
    local value, from, split = find_value(field, arguments, getenv, file)
    if value == nil then
      settings[field.name] = default_of(field)
    else
      local kept, sentence = take(field, value, from, split)
      if kept == nil then
        return nil, sentence
      end
      settings[field.name], settings.given[field.name] = kept, true
    end
  end
  if settings.verbose and settings.quiet then
    return nil, "-v/--verbose and -q/--quiet exclude each other"
  end
  local sentence = M.check_simulation(settings)
  if sentence then
    return nil, sentence
  end
  return M.check_reports(settings)
end

--- What a simulated network cannot have.
function M.check_simulation(settings)
  if settings.net == "sim" and settings.broker ~= "builtin" then
    return ("--net sim has the built-in broker only, not --broker %s, which is on a real network"):format(
      settings.broker)
  elseif settings.twice and settings.net ~= "sim" then
    return "--twice is for --net sim: on a real network no two runs are the same"
  end
end

--- At most one report may go to standard output, and no two into one file. If none goes there, pretty does.
function M.check_reports(settings)
  local to = {}
  for _, one in ipairs(settings.report) do
    local place = one.file or 1
    if to[place] then
      return nil, ("--report %s and --report %s both go to %s: name another file, as in %s:FILE"):format(to[place],
        one.format, one.file or "standard output", one.format)
    end
    to[place] = one.format
  end
  if not to[1] then
    table.insert(settings.report, 1, { format = "pretty" })
  end
  return settings
end

-- Keys as in the table of fields, "-" for "_" allowed.
local function known_keys(values)
  local result = {}
  for _, key in ipairs(near.keys(values)) do
    local name = key:gsub("-", "_")
    if not M.by_name[name] then
      local hint = near.suggest(name, near.keys(M.by_name))
      return nil, ('%s: unknown key "%s"%s'):format(M.FILE, key, hint and ", " .. hint or "")
    end
    result[name] = values[key]
  end
  return result
end

--- The keys of the settings file (in the working directory): {} if there is none, nil and a sentence if it is bad.
--- The file assigns (`jobs = 4`) or returns a table (`return { jobs = 4 }`).
function M.read_file(path)
  path = path or M.FILE
  local handle = io.open(path, "rb")
  if not handle then
    return {}
  end
  handle:close()
  local env = setmetatable({}, { __index = _G })
  local chunk, problem = loadfile(path, "t", env)
  if not chunk then
    return nil, problem
  end
  local ok, values = core.guarded(core.real_now() + M.FILE_TIME_S * 1000000000, chunk)
  if not ok then
    return nil, (tostring(values):gsub("\nstack traceback:.*$", ""))
  elseif values ~= nil and type(values) ~= "table" then
    return nil, ("%s returns a %s: a table of settings is meant"):format(M.FILE, type(values))
  end
  setmetatable(env, nil)
  for key, value in pairs(values or {}) do
    if type(key) ~= "string" then
      return nil, ("%s: %s is no key"):format(M.FILE, tostring(key))
    end
    env[key] = value
  end
  return known_keys(env)
end

return M
