-- twin: the second process of --twice: runs one scenario again, and stops at the first entry of the timeline whose
-- rolling hash is not that of the first run.

local core = require "mqrig.core"
local load_ = require "mqrig.load"
local paths = require "mqrig.paths"
local sandbox = require "mqrig.sandbox"
local twice = require "mqrig.twice"
local worker = require "mqrig.worker"

local M = {}

M.BALLAST = 4000 -- objects that lie in the heap here and not in the first process

-- What is to be held until the end.
local function load_heap()
  local ballast = {}
  for i = 1, M.BALLAST do
    ballast[i] = i % 3 == 0 and { i } or ("%d "):format(i):rep(i % 37)
  end
  collectgarbage "generational"
  return ballast
end

local function find(list, name)
  for _, scenario in ipairs(list) do
    if scenario.name == name then
      return scenario
    end
  end
  error(("there is no scenario %q any more"):format(name), 0)
end

--- What looks at a timeline as it grows: a function that returns the number of the first entry that differs, once
--- there is one.
function M.watcher(hashes)
  local seen, differs = 0, nil
  return function(timeline)
    local more = differs and "" or timeline:hashes(seen + 1)
    for at = 1, #more, 8 do
      seen = seen + 1
      if not differs and more:sub(at, at + 7) ~= hashes:sub(seen * 8 - 7, seen * 8) then
        differs = seen
      end
    end
    return differs
  end
end

local function run(folder)
  local order = twice.read_job(folder)
  local settings = order.settings
  local ballast <const> = load_heap()
  sandbox.install()
  paths.keep_root(order.root)
  core.defect(settings.defect or "none")
  local list, problem = load_.file(order.file, settings.memory, settings.timeout)
  assert(list, problem and problem.message)
  local watch = M.watcher(order.hashes)
  local answer = {}
  core.open()
  local result = worker.run_once(find(list, order.name), order.job, settings, {
    stop = function(timeline)
      return watch(timeline) and "it differs from the first run"
    end,
    trace = function(timeline)
      answer.differs = watch(timeline) or (timeline:last() * 8 < #order.hashes and timeline:last() + 1) or nil
      answer.line = answer.differs and timeline:line(answer.differs)
    end,
  })
  core.close()
  assert(#ballast == M.BALLAST)
  result.timeline = nil
  answer.result = worker.portable(result)
  twice.write_answer(folder, answer)
end

--- The exit status.
function M.main(folder)
  local ok, problem = xpcall(run, debug.traceback, folder)
  if not ok then
    io.stderr:write(tostring(problem), "\n")
  end
  return ok and 0 or 70
end

return M
