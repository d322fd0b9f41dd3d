-- mqrig help: the help of a verb, or of all.

local near = require "mqrig.near"

local M = { summary = "show help for a verb" }

function M.configure(parser)
  parser:description "Shows the help of a verb, or without one what verbs there are."
  parser:argument("verb", "run, list, ...; also: proxy ctl"):args "*"
end

function M.run(arguments, cli)
  local name = table.concat(arguments.verb, " ")
  if name == "" then
    io.write(cli.parser:get_help(), "\n")
    return 0
  end
  local parser = cli.parsers[name] or cli.under[name]
  if not parser then
    local names = near.keys(cli.parsers)
    return nil, ('there is no verb "%s", %s'):format(name, near.suggest(name, names)
      or "verbs: " .. table.concat(names, ", "))
  end
  io.write(parser:get_help(), "\n")
  return 0
end

return M
