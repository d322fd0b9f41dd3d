-- process: a child process of a scenario, a client under test for instance; its output is kept.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local log = require "mqrig.log"
local object = require "mqrig.object"
local paths = require "mqrig.paths"
local show = require "mqrig.show"
local task = require "mqrig.task"

local M = {}

local Process = {}
local computed = {}

local within_known = blame.set "within"

local function is_over(self)
  return self.over
end

--- Waits for its end; returns the exit status, or nil and the name of the signal ("KILL") that ended it.
function Process:wait(options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "wait"), "wait")
  if not task.wait_for(self, is_over, within_ns, "the end of " .. self.name) then
    failure.late(self.name .. " did not end", within_ns)
  end
  return self.status, self.by_signal
end

--- Waits until its output matches a Lua pattern; returns the captures, or the match.
function Process:wait_output(pattern, options)
  local within_ns = blame.within_ns(blame.options(options, within_known, "wait_output"), "wait_output")
  blame.call(string.find, "", pattern)
  local function matches()
    return self.log:text():find(pattern) ~= nil or self.over
  end
  task.wait_for(self, matches, within_ns, "output that matches " .. show.text(pattern))
  if not self.log:text():find(pattern) then
    local late = (" gave no such output within %g s"):format(within_ns / 1e9)
    failure.raise {
      message = self.name .. (self.over and " ended without that output" or late),
      expected = "output that matches " .. show.text(pattern),
      got = show.text(self.log:text()),
    }
  end
  return self.log:text():match(pattern)
end

--- Sends a signal: "TERM", "KILL", "STOP", "CONT", "HUP", "INT". Whether it was there to get it.
function Process:signal(name)
  return blame.call(self.process.signal, self.process, name)
end

function Process:kill()
  return self:signal "KILL"
end

function Process:pause()
  return self:signal "STOP"
end

function Process:resume()
  return self:signal "CONT"
end

local KILL_WITHIN_NS = 3000000000

-- Programs that belong to mqrig: those of the installation, or of the build, that runs.
local own = { mqrig = true, ["mqrig-proxy"] = true, plainsocket = true }

local function find(program)
  local folder = paths.folder(core.executable())
  for _, path in ipairs { folder .. "/" .. program, folder .. "/../libexec/mqrig/" .. program } do
    if own[program] and paths.exists(path) then
      return path
    end
  end
  return program
end

-- Runs the program. What an earlier run of it still has to say is not heard any more.
local function launch(self)
  self.over, self.status, self.by_signal = false, nil, nil
  self.process = blame.call(core.spawn, self.words, self.handlers(self, self.env))
end

--- Runs it again, with the same arguments; its output goes on.
function Process:start()
  if not self.over then
    blame.raise(self.name .. " runs already")
  end
  self.process:close()
  launch(self)
end

--- Kills it if it runs, and runs it again.
function Process:restart()
  if not self.over then
    self:signal "KILL"
    if not task.wait_for(self, is_over, KILL_WITHIN_NS, "the end of " .. self.name) then
      failure.late(self.name .. " did not end", KILL_WITHIN_NS)
    end
  end
  self:start()
end

function Process:close()
  self.process:close()
end

function computed:pid()
  return self.process:pid()
end

function computed:running()
  return not self.over and self.process:is_running()
end

function computed:output()
  return self.log:text()
end

function computed:stdout()
  return self.out:text()
end

function computed:stderr()
  return self.err:text()
end

M.meta = object.class("process", Process, computed, "status name", "waiters by_signal on_output process env")
M.meta.__close = Process.close

local function handlers(self, env)
  return {
    env = env,
    output = function(which, text)
      self.log:add(text)
      local one = (which == "stderr" or which == 2) and self.err or self.out
      one:add(text)
      if self.on_output then
        self.on_output(text)
      end
      task.notify(self)
    end,
    exited = function(status, signal)
      self.over, self.status, self.by_signal = true, not signal and status or nil, signal
      task.notify(self)
    end,
  }
end

--- `argv`: the program and its arguments, and beside them `env = { NAME = "value" }` and `name`.
function M.new(scenario, argv, name, on_output)
  if type(argv) ~= "table" or type(argv[1]) ~= "string" then
    blame.raise 't:process takes a list: t:process { "program", "argument" }'
  end
  local words = {}
  for i, word in ipairs(argv) do
    words[i] = tostring(word)
  end
  for key in next, argv do
    if math.type(key) ~= "integer" and key ~= "env" and key ~= "name" then
      blame.options({ [key] = true }, blame.set "env name", "t:process")
    end
  end
  words[1] = find(words[1])
  name = argv.name or name or words[1]:match "[^/]+$" or words[1]
  local self = setmetatable({
    scenario = scenario,
    name = name,
    log = log.new(name),
    out = log.new(name),
    err = log.new(name),
    over = false,
    on_output = on_output,
    words = words,
    env = argv.env,
    handlers = handlers,
  }, M.meta)
  launch(self)
  scenario:own(self)
  scenario:keep_log(self.log)
  return self
end

return M
