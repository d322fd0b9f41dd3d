-- jumping_core: as much of mqrig.core as the pure parts of the library need, with a clock that jumps. For tests under
-- a plain interpreter.

local core = { version = "test" }

local now_ns = 1000
local timers = {}
core.entries = {}

function core.now()
  return now_ns
end
core.real_now = core.now

--- Makes `fn` be called in the turn that reaches that time.
function core.timer(at_ns, fn)
  timers[#timers + 1] = { at_ns = at_ns, fn = fn }
end

function core.turn(until_ns)
  local first
  for i, timer in ipairs(timers) do
    if not first or timer.at_ns < timers[first].at_ns then
      first = i
    end
  end
  if first and timers[first].at_ns <= until_ns then
    local timer = table.remove(timers, first)
    now_ns = math.max(now_ns, timer.at_ns)
    local ok, why = pcall(timer.fn)
    if not ok and core.error_handler then
      core.error_handler(why)
    end
  else
    now_ns = math.max(now_ns, until_ns)
  end
end

function core.on_error(fn)
  core.error_handler = fn
end

function core.wake() end

function core.guarded(_, fn, ...)
  return pcall(fn, ...)
end

function core.guarded_resume(_, co, ...)
  return coroutine.resume(co, ...)
end

function core.memory_limit() end

local Timeline = {}
Timeline.__index = Timeline

function Timeline:note(text)
  self[#self + 1] = text
end

function Timeline:story()
  local told = {}
  for i, line in ipairs(self) do
    told[i] = { line, "" }
  end
  return told
end

function Timeline:last()
  return #self
end

function Timeline:lines()
  return table.move(self, 1, #self, 1, {})
end

-- What is in use now, and what was told to the timeline of it.
core.in_use = { streams = 0, listeners = 0, timers = 0, memory = 0 }
core.opened, core.told = {}, {}

function core.usage()
  local copy = {}
  for kind, count in pairs(core.in_use) do
    copy[kind] = count
  end
  return copy
end

function core.usage_list()
  return { "a timer of c1" }
end

function core.descriptors()
  return table.move(core.opened, 1, #core.opened, 1, {})
end

function Timeline:tell(what, _, code, value, id)
  core.told[#core.told + 1] = ("%s %d: %d at %s"):format(what, code, value, id == 0 and "the beginning" or "the end")
end

-- What the next checker finds at its end.
core.breaches = {}

function core.checker()
  return {
    judge = function()
      local found = core.breaches
      core.breaches = {}
      return found
    end,
  }
end

function core.timeline()
  return setmetatable({}, Timeline)
end

function core.use_timeline() end

function core.encode(packet)
  return packet.type .. (packet.packet_id or "")
end

core.mqtt = {
  SUCCESS = 0,
  FAILURE = -1,
  ERROR_DISCONNECTED = -3,
  createclient = function() end,
  describe = function(code)
    return "code " .. code
  end,
}

package.loaded["mqrig.core"] = core

return core
