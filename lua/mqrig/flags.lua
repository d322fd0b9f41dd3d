-- flags: the table of settings on a command line.

local settings = require "mqrig.settings"

local M = {}

local titles = { { "which", "Which scenarios" }, { "how", "How they run" }, { "what", "What they run against" },
  { "output", "Output" } }

local function add_one(parser, field)
  local names = (field.short and "-" .. field.short .. " " or "") .. settings.flag(field)
  if field.kind == "flag" then
    return parser:flag(names, field.help):target(field.name)
  end
  local option = parser:option(names, field.help):target(field.name):argname(field.argument)
  -- All names on one line of the help, instead of one below the other.
  function option._get_label_lines()
    return { (field.short and "-" .. field.short .. ", " or "") .. settings.flag(field) .. " " .. field.argument }
  end
  return field.kind == "list" and option:count "*" or option
end

--- Adds the flags of the groups named (nil: all) to a parser; of `names`, if given, only those.
function M.add(parser, groups, names)
  for _, title in ipairs(titles) do
    local elements = {}
    for _, field in ipairs(settings.fields) do
      if field.group == title[1] and (not groups or groups[title[1]]) and (not names or names[field.name]) then
        elements[#elements + 1] = add_one(parser, field)
      end
    end
    if #elements > 0 then
      parser:group(title[2], table.unpack(elements))
    end
  end
end

--- The settings of what was parsed, the environment and the file; nil and a sentence.
function M.resolve(arguments)
  local file, sentence = settings.read_file()
  if not file then
    return nil, sentence
  end
  local given = {}
  for _, field in ipairs(settings.fields) do
    local value = arguments[field.name]
    if value ~= nil and not (type(value) == "table" and #value == 0) then
      given[field.name] = value
    end
  end
  return settings.resolve(given, os.getenv, file)
end

return M
