-- mqrig completion: what a shell needs to complete mqrig's command line.

local near = require "mqrig.near"
local settings = require "mqrig.settings"
local text = require "mqrig.text"

local M = { summary = "print completion for a shell" }

local shells = {
  bash = "get_bash_complete",
  zsh = "get_zsh_complete",
  fish = "get_fish_complete",
}

function M.configure(parser)
  parser:description(text.flow [[
Prints the completion for a shell: bash, zsh or fish. For bash: mqrig completion bash >
~/.local/share/bash-completion/completions/mqrig]])
  parser:argument("shell", "bash, zsh or fish")
end

-- The words that a value can be, of "builtin|mosquitto|URL" the first two.
local function words_of(field)
  local words = {}
  for word in (field and (field.words or field.argument) or ""):gmatch "[^|]+" do
    words[#words + 1] = word:find "^[%l%d][%l%d.-]*$" and word or nil
  end
  return #words > 0 and words or nil
end

-- For completion only: when arguments are parsed the checks of the settings decide, which know the near name.
local function add_choices(cli)
  for _, parser in pairs(cli.parsers) do
    for _, option in ipairs(parser._options) do
      option._choices = option._choices or words_of(settings.by_name[option._target])
    end
  end
  cli.parsers.completion._arguments[1]._choices = near.keys(shells)
  cli.parsers.help._arguments[1]._choices = near.keys(cli.parsers)
end

function M.run(arguments, cli)
  local method = shells[arguments.shell]
  if not method then
    return nil, ('no completion for "%s", %s'):format(arguments.shell, near.suggest(arguments.shell, near.keys(shells))
      or "there is bash, fish, zsh")
  end
  add_choices(cli)
  io.write(cli.parser[method](cli.parser), "\n")
  return 0
end

return M
