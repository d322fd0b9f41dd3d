-- twice: each simulated scenario once more, in another process with another environment, locale, working folder and
-- heap layout (twin.lua): what it did must be the same, byte for byte. The second run is given the rolling hashes of
-- the first, and stops at the first entry that differs.

local core = require "mqrig.core"
local dkjson = require "dkjson"
local near = require "mqrig.near"
local paths = require "mqrig.paths"

local M = {}

M.START_S = 20 -- for the other process to load and to answer, besides the scenario's own time
M.LINES_MAX = 20000 -- of the first run, to be shown where the second differs
M.FOLDER = "/" -- where it works
M.ENVIRONMENT = {
  LC_ALL = "tr_TR.UTF-8", LANG = "de_DE.UTF-8", TZ = "Asia/Kathmandu", HOME = "/nonexistent", TMPDIR = "/tmp",
  COLUMNS = "41", MALLOC_PERTURB_ = "165", MALLOC_TOP_PAD_ = "1234567", MQRIG_TWIN = ("twin "):rep(97),
}

local OUTPUT_MAX = 2000 -- bytes of what the second process says when it fails

M.VERB = "twin" -- hidden: mqrig runs itself with it

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

local function read(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read "a"
  if file then
    file:close()
  end
  return bytes
end

--- A result as text: equal for equal results.
function M.text(result)
  local keys, seen = {}, {}
  local function collect(value)
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      for key, item in pairs(value) do
        keys[tostring(key)] = true
        collect(item)
      end
    end
  end
  collect(result)
  return dkjson.encode(result, { keyorder = near.keys(keys) })
end

-- Runs the other process on the job in `folder`; nil, or a sentence about why it gave no answer.
local function run_twin(folder, real_s)
  local output, status = {}, nil
  local command = ('cd %s && exec "$0" "$@"'):format(M.FOLDER)
  local process = core.spawn({ "sh", "-c", command, core.executable(), M.VERB, folder }, {
    env = M.ENVIRONMENT,
    output = function(_, text)
      output[#output + 1] = text
    end,
    exited = function(code, signal)
      status = signal and "was killed by signal " .. signal or code ~= 0 and "ended with status " .. code or "ended"
    end,
  })
  local due_ns = core.real_now() + math.floor((real_s + M.START_S) * 1e9)
  while not status and core.real_now() < due_ns do
    core.turn(due_ns)
  end
  process:close()
  if status ~= "ended" then
    return ("the second process %s%s"):format(status or "did not end in time",
      #output > 0 and ": " .. table.concat(output):sub(1, OUTPUT_MAX) or "")
  end
end

--- The newest entries of a timeline as text, by number.
function M.lines(timeline)
  local last = timeline:last()
  local lines = { last = last }
  for number = math.max(1, last - M.LINES_MAX + 1), last do
    lines[number] = timeline:line(number)
  end
  return lines
end

-- The line of that number, or what stands there instead of one.
local function line_at(lines, number)
  return lines[number] or (number > lines.last and "(the end)" or "(too long ago to be kept)")
end

local function difference(message, expected, got, scenario)
  return { message = message, expected = expected, got = got, file = scenario.file, line = scenario.line }
end

-- The first key in which two results differ, with both values.
local function compare_results(first, second)
  local keys = {}
  for _, one in ipairs { first, second } do
    for key in pairs(one) do
      keys[key] = true
    end
  end
  for _, key in ipairs(near.keys(keys)) do
    local a, b = M.text { first[key] }, M.text { second[key] }
    if a ~= b then
      return key, a, b
    end
  end
end

local function compare(scenario, first, trace, answer)
  if answer.differs then
    return difference(("not deterministic: entry %d of the timeline differs when it is run again in another process")
      :format(answer.differs), line_at(trace.lines, answer.differs), answer.line or "(the end)", scenario)
  end
  local key, a, b = compare_results(first, answer.result)
  if key then
    return difference(('not deterministic: "%s" differs when it is run again in another process'):format(key), a, b,
      scenario)
  end
end

--- Runs the scenario again. `result`: what travels of the first run; `trace` of it: { hashes=bytes,
--- lines= as M.lines }. Returns nil, or the failure.
function M.check(scenario, job, settings, result, trace)
  local folder = core.temporary_directory()
  local ok, failed = pcall(function()
    write(folder .. "/job.json", dkjson.encode {
      root = core.realpath ".", file = scenario.file, name = scenario.name, job = job, settings = settings,
    })
    write(folder .. "/hashes", trace.hashes)
    local sentence = run_twin(folder, settings.real_timeout)
    local answer = not sentence and dkjson.decode(read(folder .. "/answer.json") or "")
    if not answer then
      return difference("--twice: " .. (sentence or "the second process gave no answer"), nil, nil, scenario)
    end
    return compare(scenario, dkjson.decode(dkjson.encode(result)), trace, answer)
  end)
  core.remove_tree(folder)
  if not ok then
    error(failed, 0)
  end
  return failed
end

--- In the other process: the job, and the hashes of the first run.
function M.read_job(folder)
  local job = dkjson.decode(assert(read(paths.join(folder, "job.json"))))
  job.hashes = assert(read(paths.join(folder, "hashes")))
  return job
end

function M.write_answer(folder, answer)
  write(paths.join(folder, "answer.json"), dkjson.encode(answer))
end

return M
