-- capture: the whole timeline of a scenario in --out: as text for people, and as packets for analysers (pcapng).

local core = require "mqrig.core"
local faultlines = require "mqrig.faultlines"
local paths = require "mqrig.paths"
local select_ = require "mqrig.select"
local text = require "mqrig.text"

local M = {}

--- The files for one run of a scenario, without their ends: `mqrig-out/hello-12-a-reset-while-1f2e3d4c`. Made of its
--- names only, so that the same failure overwrites its capture of before. `job.mark` tells runs of the same scenario apart.
function M.path(scenario, settings, job)
  local stem = text.slug(paths.base(scenario.file):gsub("%.lua$", ""), 40)
  local mark = text.hash(select_.full_name(scenario)) & 0xffffffff
  local name = ("%s-%d-%s-%08x%s"):format(stem, scenario.line, text.slug(scenario.name, 60), mark,
    job.mark and "-" .. job.mark or "")
  return paths.join(settings.out, name)
end

function M.is_wanted(settings, verdict)
  return settings.capture == "always" or (settings.capture == "on-failure" and verdict == "failed")
end

local function write_text(path, title, timeline)
  local file, problem = io.open(path, "w")
  if not file then
    return nil, problem
  end
  file:write("# ", title:gsub("\n", "\n# "), "\n")
  for _, line in ipairs(faultlines.all(timeline)) do
    file:write(line, "\n")
  end
  return file:close()
end

--- Writes both: their paths, or nil and a sentence. Where nothing happened there is nothing to write.
function M.write(stem, scenario, result, timeline, seed)
  if #timeline:lines(1) == 0 then -- what only a checker looks at is nothing
    return {}
  end
  local title = ("%s\n%s:%d, %s, seed %d"):format(text.printable(scenario.name), scenario.file, scenario.line,
    result.verdict, seed)
  local lines, packets = stem .. ".txt", stem .. ".pcapng"
  local written, problem = core.make_directory(paths.folder(stem))
  if written then
    written, problem = write_text(lines, title, timeline)
  end
  if written then
    written, problem = timeline:capture(packets, title)
  end
  if not written then
    return nil, ("the capture %s cannot be written: %s"):format(stem, problem)
  end
  return { lines, packets }
end

return M
