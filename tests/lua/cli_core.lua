-- A stand-in for the C side, so that the command line is tested by any Lua 5.4: `dofile` it first. Workers are
-- coroutines in it, and a scenario is a plain function call. What needs sockets or processes is tested with the
-- program.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/../../lua/?.lua;" .. here .. "/../../lua/?/init.lua;" .. package.path

local core = { version = "0.0.0", mqtt = {} }

function core.open() end
function core.close() end
function core.defects()
  return {}
end
function core.defect() end
function core.wall_clock()
  return 1700000000.5
end
function core.now()
  return math.floor(os.clock() * 1e9)
end
core.real_now = core.now

function core.guarded(deadline_ns, fn, ...)
  local arguments = table.pack(...)
  debug.sethook(function()
    if core.now() > deadline_ns then
      error("never yields", 2)
    end
  end, "", 100000)
  local results = table.pack(xpcall(fn, debug.traceback, table.unpack(arguments, 1, arguments.n)))
  debug.sethook()
  return table.unpack(results, 1, results.n)
end

core.guarded_resume = function(_, co, ...)
  return coroutine.resume(co, ...)
end
function core.end_orphans() end
function core.proxy_tls_options()
  return {}
end
function core.remove_tree() end
function core.descriptors_left()
  return 1000
end
function core.memory_limit() end
function core.memory_used()
  return math.floor(collectgarbage "count" * 1024)
end

function core.is_terminal()
  return false
end
function core.cores()
  return 2
end

local function shell(command)
  local pipe = io.popen(command)
  local output = pipe:read "a"
  return pipe:close() and output or nil
end

local function quoted(path)
  return "'" .. path:gsub("'", [['\'']]) .. "'"
end

function core.directory(path)
  if not shell("test -d " .. quoted(path)) then
    return nil, path .. ": no directory"
  end
  local list = {}
  for name in shell("LC_ALL=C ls -1A " .. quoted(path)):gmatch "[^\n]+" do
    list[#list + 1] = { name = name, is_directory = shell("test -d " .. quoted(path .. "/" .. name)) ~= nil }
  end
  return list
end

function core.realpath(path)
  return (shell("realpath " .. quoted(path)):gsub("\n$", ""))
end

function core.make_directory(path)
  return shell("mkdir -p " .. quoted(path) .. " 2>&1") and true or nil, "it cannot be made"
end

function core.url_check(url)
  if url:find "^%a+://[^/]+$" then
    return {}
  end
  return nil, "it has no host"
end

function core.rule_check(text)
  if text:find "^up " or text:find "^down " then
    return text
  end
  return nil, 'column 1: "' .. text .. '" is no place'
end

function core.rawclient()
  error "nothing listens there"
end

-- Workers: coroutines that are resumed in turns.

local live = {}

function core.turn()
  if coroutine.isyieldable() then
    coroutine.yield()
    return
  end
  for _, worker in ipairs(table.move(live, 1, #live, 1, {})) do
    worker:step()
  end
end

local Worker = {}
Worker.__index = Worker

function Worker.take_output() end
function Worker.pid()
  return 0
end

function Worker:step()
  while self.inbox[1] and self.on_message do
    self.on_message(table.remove(self.inbox, 1))
  end
  local ok, status = coroutine.resume(self.co, self.channel)
  if coroutine.status(self.co) == "dead" then
    for i, one in ipairs(live) do
      if one == self then
        table.remove(live, i)
      end
    end
    self.handlers.exited(ok and status or 70, nil)
  end
end

function Worker:send(message)
  table.insert(self.inbox, message)
end

function Worker:close() end

function Worker:signal()
  coroutine.close(self.co)
end

function core.fork(body, handlers)
  local worker = setmetatable({ inbox = {}, handlers = handlers, co = coroutine.create(body) }, Worker)
  worker.channel = {
    on = function(_, fn)
      worker.on_message = fn
    end,
    send = function(_, message)
      handlers.message(message)
    end,
    close = function() end,
  }
  live[#live + 1] = worker
  return worker
end

function core.on_signal() end

package.preload["mqrig.core"] = function()
  return core
end

local timeline = {
  lines = function()
    return { "two" }
  end,
  story = function()
    return { { "one", "" }, { "two", "   !! drop" } }
  end,
  capture = function(_, path, title)
    local file = assert(io.open(path, "w"))
    file:write(title)
    return file:close()
  end,
}

package.preload["mqrig.scenario"] = function()
  return {
    run = function(scenario, options)
      local ok, problem = pcall(scenario.fn, options)
      if ok then
        return { verdict = "passed", duration_ns = 1000000, logs = { "a log line" } }
      elseif type(problem) == "table" and problem.skip then
        return { verdict = "skipped", reason = problem.skip, duration_ns = 0 }
      end
      local failure = type(problem) == "table" and problem or { message = problem }
      return { verdict = "failed", duration_ns = 2000000, failure = failure, timeline = timeline }
    end,
  }
end

return core
