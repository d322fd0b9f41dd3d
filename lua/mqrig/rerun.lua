-- rerun: the command that runs one failure again.

local settings_ = require "mqrig.settings"
local text = require "mqrig.text"

local M = {}

local function add_values(words, field, value)
  if field.kind == "flag" then
    words[#words + 1] = value and settings_.flag(field) or nil
    return
  end
  for _, one in ipairs(field.kind == "list" and value or { value }) do
    if field.name == "param" then
      one = one[1] .. "=" .. one[2]
    end
    words[#words + 1] = settings_.flag(field)
    words[#words + 1] = text.shell(tostring(one))
  end
end

-- Whether another scenario of the file says that it is on this line: then the line alone does not name it.
local function shares_line(scenario, scenarios)
  for _, other in ipairs(scenarios) do
    if other ~= scenario and other.file == scenario.file and other.line == scenario.line then
      return true
    end
  end
  return false
end

function M.command(scenario, settings, seed, scenarios)
  local place = ("%s:%d"):format(scenario.file, scenario.line)
  local words = { text.shell(settings.program or "mqrig"), "run", text.shell(place) }
  if shares_line(scenario, scenarios) then
    table.move({ "--filter", text.shell(scenario.name) }, 1, 2, #words + 1, words)
  end
  words[#words + 1] = ("--seed %d"):format(seed)
  for _, field in ipairs(settings_.fields) do
    if field.again and settings.given[field.name] then
      add_values(words, field, settings[field.name])
    end
  end
  return table.concat(words, " ")
end

return M
