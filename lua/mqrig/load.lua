-- load: a scenario file becomes a list of scenarios.
--
-- Each file has an environment of its own: copies of the standard library, so that what one file changes no other
-- sees; no os.exit; reading or assigning an undeclared global is an error at that line. The body runs guarded: it
-- cannot wait, hang, or take all memory. Modules beside the file can be required; they get the file's environment.

local core = require "mqrig.core"
local near = require "mqrig.near"
local paths = require "mqrig.paths"
local registry = require "mqrig.registry"
local sandbox = require "mqrig.sandbox"

local M = {}

M.LOAD_TIME_S = 10 -- for one file, unless told otherwise

local LIBRARIES = { "string", "table", "math", "os", "io", "coroutine", "utf8", "debug" }
local FUNCTIONS = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset",
  "select", "setmetatable", "tonumber", "tostring", "type", "xpcall", "collectgarbage", "warn", "_VERSION",
}

-- What a file has mostly as locals of the same name.
local EXPORTS = { "rig", "mqtt", "scenario", "expect", "fault", "net", "clock" }

local loading = false

local function copy(t)
  local result = {}
  for key, value in pairs(t) do
    result[key] = value
  end
  return result
end

-- What the name may have been meant for.
local function hint(env, name)
  if name == "rig" then
    return ': write `local rig = require "mqrig"`'
  end
  local known, part = pcall(function()
    return require("mqrig")[name]
  end)
  if known and part ~= nil then
    return (': write `local %s = require("mqrig").%s`'):format(name, name)
  end
  local names = near.keys(env)
  table.move(EXPORTS, 1, #EXPORTS, #names + 1, names)
  local suggestion = near.suggest(name, names)
  return suggestion and ", " .. suggestion or ""
end

local function seal(env)
  return setmetatable(env, {
    __index = function(_, name)
      error(('undeclared global "%s" is read%s'):format(tostring(name), hint(env, name)), 2)
    end,
    __newindex = function(_, name)
      error(('undeclared global "%s" is assigned: write `local %s`'):format(tostring(name), tostring(name)), 2)
    end,
    __metatable = "the environment of a scenario file",
  })
end

-- While files load, what they print goes to standard error, because standard output belongs to the reports; a
-- scenario's own prints are collected by the runner.
local function output()
  return loading and io.stderr or io.stdout
end

local function printing(env)
  env.print = function(...)
    local words = table.pack(...)
    for i = 1, words.n do
      words[i] = tostring(words[i])
    end
    output():write(table.concat(words, "\t"), "\n")
  end
  env.io.write = function(...)
    return (loading and io.stderr or io.output()):write(...)
  end
end

local function restrict(env)
  env.os.exit = function()
    error("os.exit would end the whole run: return from the scenario, or raise an error", 2)
  end
  env.debug.sethook = function()
    error("debug.sethook belongs to mqrig: it stops scenarios that never yield", 2)
  end
  env.debug.debug = nil
end

local function passed(co, ok, first, ...)
  if ok then
    return first, ...
  end
  if coroutine.status(co) == "dead" then
    coroutine.close(co)
  end
  error(first, 0)
end

local function check_type(value, wanted, name)
  if type(value) ~= wanted then
    error(("bad argument #1 to '%s' (%s expected, got %s)"):format(name, wanted, type(value)), 3)
  end
end

-- A scenario's own coroutines: the guard has to know what runs, to stop it where it stands.
local function coroutines(env)
  local resume, never = core.guarded_resume, math.maxinteger
  env.coroutine.resume = function(co, ...)
    check_type(co, "thread", "resume")
    return resume(never, co, ...)
  end
  env.coroutine.wrap = function(fn)
    check_type(fn, "function", "wrap")
    local co = coroutine.create(fn)
    return function(...)
      return passed(co, resume(never, co, ...))
    end
  end
end

local function loaders(env)
  env.load = function(chunk, name, mode, ...)
    return load(chunk, name, mode, select("#", ...) > 0 and ... or env)
  end
  env.loadfile = function(path, mode, ...)
    return loadfile(path, mode, select("#", ...) > 0 and ... or env)
  end
  env.dofile = function(path)
    local chunk, message = loadfile(path, "bt", env)
    if not chunk then
      error(message, 2)
    end
    return chunk()
  end
end

local function find_module(folder, name)
  local stem = paths.join(folder, (name:gsub("%.", "/")))
  for _, path in ipairs { stem .. ".lua", stem .. "/init.lua" } do
    if paths.exists(paths.at(path)) then
      return path
    end
  end
end

--- The code of a file, under the name that it is shown by.
function M.chunk(path, env)
  local file, problem = io.open(paths.at(path), "rb")
  if not file then
    return nil, "cannot open " .. problem
  end
  local code = file:read "a"
  file:close()
  if not code then
    return nil, "cannot read " .. path
  end
  return load((code:gsub("^#[^\n]*", "", 1)), "@" .. path, "t", env)
end

-- In Lua, not by the library's C function: a module body may wait when a scenario requires it.
local function requiring(env, folder)
  local loaded, own = {}, { _G = env } -- what Lua has loaded by these names is not the file's own
  for _, name in ipairs(LIBRARIES) do
    own[name] = env[name]
  end
  env.require = function(name)
    if type(name) ~= "string" then
      error("require takes a module's name", 2)
    elseif name == "mqrig" then
      return require "mqrig"
    elseif name:find "^mqrig%." then
      error(('"%s" is inside mqrig: scenarios use require "mqrig"'):format(name), 2)
    elseif loaded[name] ~= nil then
      return loaded[name]
    elseif own[name] then
      return own[name]
    end
    local path = find_module(folder, name)
    if not path then
      local known, found = pcall(require, name)
      if not known then
        error(('there is no module "%s" beside the file (%s), and Lua knows none of that name'):format(name,
          paths.join(folder, name:gsub("%.", "/") .. ".lua")), 2)
      end
      return found
    end
    local chunk, message = M.chunk(path, env)
    if not chunk then
      error(message, 0)
    end
    loaded[name] = true
    local value = chunk(name, path)
    if value ~= nil then
      loaded[name] = value
    end
    return loaded[name]
  end
end

--- The environment of one file in `folder`.
function M.environment(folder)
  local env = {}
  for _, name in ipairs(FUNCTIONS) do
    env[name] = _G[name]
  end
  for _, name in ipairs(LIBRARIES) do
    env[name] = copy(_G[name])
  end
  env._G = env
  restrict(env)
  printing(env)
  coroutines(env)
  loaders(env)
  requiring(env, folder)
  if sandbox.is_installed() then
    sandbox.adapt(env)
  end
  return seal(env)
end

-- The name as Lua's messages show it: long ones are cut there.
local function short_name(file)
  return debug.getinfo(load("", "@" .. file), "S").short_src
end

-- The message without traceback, its line if it names one, and the file in full.
local function explain(message, file)
  if type(message) ~= "string" then
    return "an error that is no text was raised: " .. require("mqrig.show").value(message)
  end
  local text = message:gsub("\nstack traceback:.*$", "")
  local short = short_name(file)
  if text:sub(1, #short + 1) == short .. ":" then
    text = file .. text:sub(#short + 1)
  end
  local line = text:sub(1, #file + 1) == file .. ":" and text:match("^%d+", #file + 2)
  if line then
    text = text:sub(#file + #line + 3):gsub("^%s+", "")
  end
  if text:find("attempt to yield", 1, true) then
    text = "nothing can be waited for while the file loads: put it inside scenario(name, function(t) ... end)"
  elseif text:find("not enough memory", 1, true) then
    text = "not enough memory: the file needs more than --memory while it loads"
  end
  return text, math.tointeger(tonumber(line or nil)), message:match "\n(stack traceback:.*)$"
end

local function run_chunk(chunk, time_s)
  loading = true
  local ok, problem = core.guarded(core.real_now() + math.floor((time_s or M.LOAD_TIME_S) * 1e9), chunk)
  loading = false
  return ok, problem
end

--- Loads one file: its scenarios, or nil and { file=, line= or nil, message=, traceback= or nil }.
function M.file(file, memory_bytes, time_s)
  local chunk, problem = M.chunk(file, M.environment(paths.folder(file)))
  local list
  if chunk then
    core.memory_limit(memory_bytes)
    registry.begin(file)
    local ok
    ok, problem = run_chunk(chunk, time_s)
    core.memory_limit(0)
    list = registry.finish()
    if ok then
      return list
    end
  end
  local message, line, traceback = explain(problem, file)
  return nil, { file = file, line = line, message = message, traceback = traceback }
end

--- Loads the files of paths.expand: the scenarios in order, and a list of errors.
function M.files(entries, memory_bytes, time_s)
  local scenarios, errors = {}, {}
  for _, entry in ipairs(entries) do
    local list, problem = M.file(entry.file, memory_bytes, time_s)
    errors[#errors + 1] = problem
    for _, scenario in ipairs(list or {}) do
      scenarios[#scenarios + 1] = scenario
    end
  end
  return scenarios, errors
end

return M
