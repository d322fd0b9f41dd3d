-- The manual page: without warnings, and with every verb, option, exit status and variable that the program has; no
-- more and no less.

local program = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local PAGE = "docs/mqrig.1"

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read "a"
  file:close()
  return content
end

local failures = 0
local function check(ok, sentence)
  if not ok then
    failures = failures + 1
    print(PAGE .. ": " .. sentence)
  end
end

-- man-db formats, groff warns; a width of its own so that a narrow terminal changes nothing.
assert(os.execute "command -v man >/dev/null", "man is not installed: apt-get install man-db")
local warnings = output_of(("MANWIDTH=80 man -l --warnings -E UTF-8 %s 2>&1 >/dev/null"):format(PAGE))
check(warnings == "", "man warns:\n" .. warnings)

-- What a reader sees of the arguments of a macro: they are joined, and a quoted one keeps its spaces.
local function plain(arguments)
  local joined, at = {}, 1
  while at <= #arguments do
    local text, behind = arguments:match('^%s*"([^"]*)"()', at)
    if not text then
      text, behind = arguments:match("^%s*(%S+)()", at)
    end
    if not text then
      break
    end
    joined[#joined + 1], at = text, behind
  end
  return (table.concat(joined):gsub("\\f.", ""):gsub("\\%-", "-"))
end

-- Section -> its lines, those of its subsections included.
local sections, section = {}, nil
for line in read(PAGE):gmatch "([^\n]*)\n" do
  local macro, title = line:match "^%.(S[HS]) (.*)$"
  if macro == "SH" then
    section = {}
    sections[title] = section
  elseif section then
    section[#section + 1] = line
  end
end

-- Tables of options: name -> argument, "" if there is none. This puts in those of `-f, --filter TEXT`.
local function take(found, tag)
  local argument = tag:match "%-%a+ ([^%s-]%S*)" or ""
  for name in (" " .. tag):gmatch "%s(%-%-?%a[%a-]*)" do
    found[name] = argument
  end
end

local function options_of_page(title)
  local found, tagged = {}, false
  for _, line in ipairs(assert(sections[title], "there is no section " .. title)) do
    local arguments = tagged and line:match "^%.%u+ (.*)$"
    if arguments and plain(arguments):find "^%-" then
      take(found, plain(arguments))
    end
    tagged = line == ".TP"
  end
  return found
end

-- The same of --help, where a tag begins a line behind spaces: `   -f, --filter TEXT   only ...`. Some go over two
-- lines: `   -V 3.1.1|5,   version of MQTT` and below it `   --mqtt 3.1.1|5`.
local function options_of_help(verb)
  local found = {}
  for line in output_of(("%q %s --help"):format(program, verb)):gmatch "[^\n]+" do
    local tag = line:match "^%s+(%-%-?%a.*)$"
    if tag then
      take(found, (tag:gsub("%s%s.*$", ""):gsub(",$", "")))
    end
  end
  return found
end

local function same(what, page, help)
  for name, argument in pairs(help) do
    check(page[name], ("%s: %s is missing"):format(what, name))
    local shown = page[name] or argument
    check(shown == argument, ("%s: %s takes %s, not %s"):format(what, name, argument, shown))
  end
  for name in pairs(page) do
    check(help[name], ("%s: there is no %s"):format(what, name))
  end
end

local function without(options, others)
  local rest = {}
  for name, argument in pairs(options) do
    rest[name] = not others[name] and argument or nil
  end
  return rest
end

local run_help = options_of_help "run"
check(run_help["--filter"] == "TEXT" and run_help["-q"] == "", "the help of run is not understood")
same("run", options_of_page "OPTIONS OF RUN", run_help)
same("list", options_of_page "OPTIONS OF LIST", without(options_of_help "list", run_help))
local help = { ["-h"] = "", ["--help"] = "" }
for _, verb in ipairs { "proxy", "proxy ctl", "decode", "new" } do
  same(verb, options_of_page("OPTIONS OF " .. verb:upper()), without(options_of_help(verb), help))
end
-- The page says of these which of run's options they take.
for _, verb in ipairs { "explore", "replay" } do
  same(verb, options_of_page("OPTIONS OF " .. verb:upper()), without(options_of_help(verb), run_help))
end
for _, verb in ipairs { "completion", "help" } do
  same(verb, {}, without(options_of_help(verb), help))
end

-- Verbs: in the synopsis and in the description.
local verbs = 0
local synopsis, description = table.concat(sections.SYNOPSIS, "\n"), table.concat(sections.DESCRIPTION, "\n")
for verb in output_of(("%q --help"):format(program)):match("Commands:\n(.-)\n\n"):gmatch "\n? +(%l+) +%l[^\n]*" do
  verbs = verbs + 1
  check(synopsis:find("\n.B " .. verb .. "\n", 1, true), "the synopsis lacks " .. verb)
  check(description:find("\n.B " .. verb .. "\n", 1, true) or verb == "help", "the description lacks " .. verb)
end
check(verbs >= 6, "the verbs are not understood")

-- Exit statuses: those of the help of run, and 0 to 5 in order.
local statuses = {}
for _, line in ipairs(sections["EXIT STATUS"]) do
  local status = line:match "^%.B (%d+)$"
  statuses[status or ""] = true
end
for status in output_of(("%q run --help"):format(program)):match("Exit status: (.-)Of several"):gmatch "%f[%d]%d+" do
  check(statuses[status] or status == "2", "there is no exit status " .. status)
  statuses[status] = nil
end
for status in pairs(statuses) do
  check(status == "", ("exit status %s is not in the help"):format(status))
end

-- Variables: what the sources ask for.
local environment = table.concat(sections.ENVIRONMENT, "\n")
local asked = output_of [[grep -rhoE 'getenv ?\(?"[A-Z_]+"' lua harness --include=*.lua --include=*.c]]
for name in asked:gmatch '"([%u_]+)"' do
  check(environment:find("\n.B " .. name .. "\n", 1, true) or sections.ENVIRONMENT[1] == name, "no variable " .. name)
end

check(read(PAGE):find("mqrig " .. output_of(("%q --version"):format(program)):match "[%d.]+", 1, true),
  "is of another version")

os.exit(failures == 0)
