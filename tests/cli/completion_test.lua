-- mqrig completion: scripts that their shells take, and in bash what they really complete.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local gives = program.gives

program.write("bash", (gives("completion bash", 0, "complete %-F _mqrig", "^$")))
program.write("_mqrig", (gives("completion zsh", 0, "^#compdef mqrig\n", "^$")))
program.write("fish", (gives("completion fish", 0, "complete %-c mqrig", "^$")))
program.write("some.lua", "")

local function shell(command)
  local pipe = io.popen(("cd %s && %s 2>&1"):format(program.folder, command))
  local output = pipe:read "a"
  return pipe:close() and output or nil, output
end

for _, check in ipairs { "bash -n bash", "zsh -n _mqrig", "fish -n fish" } do
  local name = check:match "^%a+"
  if name == "bash" or os.execute("command -v " .. name .. " >/dev/null 2>&1") then
    local good, output = shell(check)
    assert(good, check .. ": " .. output)
  end
end

-- What bash completes for these words; the last one is being typed.
local function completes(words, want)
  local list = {}
  for word in (words .. " "):gmatch "(.-) " do
    list[#list + 1] = "'" .. word .. "'"
  end
  program.write("ask.bash", ([[
source ./bash
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_mqrig
printf '%%s\n' "${COMPREPLY[@]}"
]]):format(table.concat(list, " ")))
  local answer = " " .. assert(shell "bash ask.bash"):gsub("\n", " ")
  for word in want:gmatch "%S+" do
    local absent = word:match "^!(.+)$"
    assert((answer:find(" " .. (absent or word) .. " ", 1, true) == nil) == (absent ~= nil), words .. ":" .. answer)
  end
end
completes("mqrig ", "run list decode new completion help")
completes("mqrig r", "run !list")
completes("mqrig run --sh", "--shard --shuffle !--seed")
completes("mqrig run --run-timeout 3 --b", "--broker")
completes("mqrig run -r ", "pretty tap junit json")
completes("mqrig run -r j", "junit json !tap")
completes("mqrig run --broker ", "builtin mosquitto !URL")
completes("mqrig run --capture o", "on-failure !always")
completes("mqrig run --out ", "some.lua")
completes("mqrig list --js", "--json")
completes("mqrig decode --st", "--strict !--shuffle")
completes("mqrig new --te", "--template")
completes("mqrig proxy --fa", "--fault")
completes("mqrig proxy c", "ctl")
completes("mqrig proxy ctl to", "toggle toxic !list")
completes("mqrig proxy ctl toxic add --to", "--toxicity !--name")

-- Every long flag of run is in all three.
local help = gives("run --help", 0)
for flag in help:gmatch "\n   [^\n]-%-%-([%a-]+)" do
  for _, script in ipairs { "bash", "_mqrig", "fish" } do
    assert(program.read(script):find(flag, 1, true), script .. ": " .. flag)
  end
end

program.finish()
