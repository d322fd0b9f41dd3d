-- mqrig completion: what a shell needs to complete mqrig's command line.

local near = require "mqrig.near"
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

function M.run(arguments, cli)
  local method = shells[arguments.shell]
  if not method then
    return nil, ('no completion for "%s", %s'):format(arguments.shell, near.suggest(arguments.shell, near.keys(shells))
      or "there is bash, fish, zsh")
  end
  io.write(cli.parser[method](cli.parser), "\n")
  return 0
end

return M
