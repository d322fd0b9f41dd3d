-- cli: the command line. `main` takes the arguments and returns the exit status; each verb is a module of its own in
-- verb/, with `summary`, `configure(parser, cli)` and `run(arguments, cli)`, which returns a status, or nil and a sentence
-- about wrong usage.

local argparse = require "argparse"
local core = require "mqrig.core"
local near = require "mqrig.near"

local M = {}

M.USAGE, M.INTERNAL = 2, 70

M.verbs = { "run", "list", "explore", "replay", "proxy", "decode", "new", "completion", "help" }

M.verbs_known = {}
for _, name in ipairs(M.verbs) do
  M.verbs_known[name] = true
end

-- What --help and --version are to print: they leave the parser by an error, whatever else is on the command line.
local function answer(cli, make)
  return function()
    cli.answer = make()
    error "answered"
  end
end

local function add_help(cli, parser)
  parser:add_help(false)
  parser:flag("-h --help", "show this help"):action(answer(cli, function()
    return parser:get_help()
  end))
end

local function add_style(cli, parser)
  parser:help_max_width(100):help_description_margin(34):usage_max_width(100)
  add_help(cli, parser)
end

-- With the flags of the verb that is wanted; all verbs' for help and completion.
local function build(words)
  local wanted = words[1]
  local parser = argparse("mqrig",
    "Runs MQTT scenario files: clients, brokers, faults, and the exact result of each operation.")
  parser:epilog "`mqrig help VERB` tells more about a verb. See also man mqrig."
  local cli = { parser = parser, parsers = {}, under = {}, modules = {}, words = words,
    add_style = add_style }
  add_style(cli, parser)
  parser:flag("--version", "show the version"):action(answer(cli, function()
    return "mqrig " .. core.version
  end))
  parser:require_command(false)
  parser:command_target "command"
  for _, name in ipairs(M.verbs) do
    local verb = require("mqrig.verb." .. name)
    local command = parser:command(name):summary(verb.summary)
    add_style(cli, command)
    if not M.verbs_known[wanted] or wanted == name or wanted == "help" or wanted == "completion" then
      verb.configure(command, cli)
    end
    cli.parsers[name], cli.modules[name] = command, verb
  end
  return cli
end

-- The parsers that the words lead through: the program's, its verb's, and those under a verb.
local function path_of(cli)
  local path = { cli.parser }
  for _, word in ipairs(cli.words) do
    for _, command in ipairs(path[#path]._commands) do
      if command._name == word then
        path[#path + 1] = command
        break
      end
    end
  end
  return path
end

-- "--jobs" and "-j" of all these parsers.
local function option_names(parsers)
  local names = {}
  for _, parser in ipairs(parsers) do
    for _, option in ipairs(parser._options) do
      table.move(option._aliases, 1, #option._aliases, #names + 1, names)
    end
  end
  return names
end

local function names_of(commands)
  local names = {}
  for _, command in ipairs(commands) do
    names[#names + 1] = command._name
  end
  return names
end

-- The parser's own sentence, with our near name for an unknown option or word.
local function improve(message, path)
  local option, word = message:match "^unknown option '([^']*)'", message:match "^unknown command '([^']*)'"
  local under = names_of(path[#path]._commands)
  if word then
    return ('unknown word "%s", %s'):format(word, near.suggest(word, under) or "there is " .. table.concat(under, ", "))
  elseif message == "a command is required" then
    return "what is to be done is missing: " .. table.concat(under, ", ")
  elseif not option then
    return (message:gsub("\nDid you mean.*$", ""))
  end
  local names = option_names(path)
  local hint = option:sub(1, 2) == "--" and near.find(option:sub(3), (function()
    local long = {}
    for _, name in ipairs(names) do
      long[#long + 1] = name:match "^%-%-(.+)$"
    end
    return long
  end)())
  return ('unknown option "%s"%s'):format(option, hint and (', did you mean "--%s"?'):format(hint) or "")
end

-- `path`: as path_of has it, or nothing.
local function usage(message, path)
  local names = names_of { table.unpack(path or {}, 2) }
  local try = #names > 1 and table.concat(names, " ") .. " --help" or "help" .. (names[1] and " " .. names[1] or "")
  io.stderr:write(("mqrig: %s\nTry: mqrig %s\n"):format(message, try))
  return M.USAGE
end

-- The first argument that is no option, which is the verb, unless none is wanted.
local function unknown_verb(cli, word)
  local names = near.keys(cli.parsers)
  local hint = near.suggest(word, names)
  local is_path = not hint and (word:find "[/.]" or word:find ":%d+$")
  return ('unknown verb "%s", %s'):format(word, hint or (is_path and ("did you mean: mqrig run %s"):format(word))
    or "verbs: " .. table.concat(M.verbs, ", "))
end

local function parse(cli, words)
  local called, ok, result = pcall(cli.parser.pparse, cli.parser, words)
  if called then
    return ok and result or nil, result
  elseif cli.answer then
    io.write(cli.answer, "\n")
    return false
  end
  error(ok, 0)
end

--- The exit status for these arguments (argv[1] is the first after the program's name).
function M.main(argv)
  local words = table.move(argv, 1, #argv, 1, {})
  if words[1] == require("mqrig.twice").VERB and words[2] then
    return require("mqrig.twin").main(words[2])
  end
  local cli = build(words)
  cli.program = argv[0] or "mqrig"
  if #words == 0 then
    io.stderr:write(cli.parser:get_help(), "\n")
    return M.USAGE
  end
  local verb = words[1]
  if verb:sub(1, 1) ~= "-" and not cli.parsers[verb] then
    return usage(unknown_verb(cli, verb))
  end
  local arguments, problem = parse(cli, words)
  if arguments == false then
    return 0
  elseif not arguments then
    local path = path_of(cli)
    return usage(improve(problem, path), path)
  elseif not arguments.command then
    return usage "a verb is missing"
  end
  local status, sentence = cli.modules[arguments.command].run(arguments, cli)
  if not status then
    return usage(sentence, path_of(cli))
  end
  return status
end

return M
