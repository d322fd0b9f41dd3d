-- capture: the whole timeline of a scenario as a text file in --out.

local core = require "mqrig.core"
local paths = require "mqrig.paths"
local select_ = require "mqrig.select"
local text = require "mqrig.text"

local M = {}

--- The file for one run of a scenario: `mqrig-out/hello-12-a-reset-while-1f2e3d4c.txt`. Made of its names only, so that
--- the same failure overwrites its capture of before.
function M.path(scenario, settings, round)
  local stem = text.slug(paths.base(scenario.file):gsub("%.lua$", ""), 40)
  local mark = text.hash(select_.full_name(scenario)) & 0xffffffff
  local again = settings["repeat"] > 1 or settings.until_fail
  local name = ("%s-%d-%s-%08x%s.txt"):format(stem, scenario.line, text.slug(scenario.name, 60), mark,
    again and "-run-" .. round or "")
  return paths.join(settings.out, name)
end

function M.is_wanted(settings, verdict)
  return settings.capture == "always" or (settings.capture == "on-failure" and verdict == "failed")
end

--- Writes the lines: the path, or nil and a sentence.
function M.write(path, scenario, result, lines, seed)
  local made, problem = core.make_directory(paths.folder(path))
  local file
  if made then
    file, problem = io.open(path, "w")
  end
  if not file then
    return nil, ("the capture %s cannot be written: %s"):format(path, problem)
  end
  file:write(("# %s\n# %s:%d, %s, seed %d\n"):format(text.printable(scenario.name), scenario.file, scenario.line,
    result.verdict, seed))
  for _, line in ipairs(lines) do
    file:write(line, "\n")
  end
  local written, why = file:close()
  if not written then
    return nil, ("the capture %s is not complete: %s"):format(path, why)
  end
  return path
end

return M
