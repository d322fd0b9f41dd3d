-- What README.md says is so: its examples pass, its commands run, and they print what it shows.
--
-- The words behind a fence tell what a block is:
--   lua NAME [N]   is written to the file NAME, and run: it ends with status N (0)
--   sh run [N]     is run where these files are, and ends with status N (0)
--   text           right behind such a block: what it prints; a line "..." stands for any lines
--   sh             is for the reader's own shell: only ./quickstart and its words are checked
-- Times, ports, seeds and the version may differ.

local program = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local REMOTE = "tcp://broker.example:1883" -- stands for a broker that runs somewhere

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read "a"
  file:close()
  return content
end

local function write(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  assert(file:close())
end

local function quoted(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  return text, status
end

-- { language, words, text, line, follows (the block right in front of it) }
local function blocks_of(content)
  local blocks, open, number, last_end = {}, nil, 0, nil
  for line in content:gmatch "([^\n]*)\n" do
    number = number + 1
    local info = line:match "^```(.*)$"
    if info and not open then
      open = { language = info:match "^%S*", words = info:match "^%S*%s*(.*)$", lines = {}, line = number }
      open.follows = last_end and blocks[#blocks] or nil
    elseif info then
      open.text = table.concat(open.lines, "\n") .. "\n"
      blocks[#blocks + 1], open, last_end = open, nil, number
    elseif open then
      table.insert(open.lines, line)
    elseif line ~= "" then
      last_end = nil
    end
  end
  assert(not open, "a fence is not closed")
  return blocks
end

local failures = 0
local function check(block, ok, ...)
  if not ok then
    failures = failures + 1
    print(("README.md:%d: %s"):format(block.line, table.concat({ ... }, "\n")))
  end
end

local root = output_of "pwd":gsub("\n$", "")
if program:sub(1, 1) ~= "/" then
  program = root .. "/" .. program
end
local build = program:match "^(.*)/[^/]*$"
local folder = output_of "mktemp -d":gsub("\n$", "")
assert(os.execute(("mkdir %s/bin && ln -s %s %s/bin/mqrig && ln -s %s %s/scenarios"):format(folder, quoted(program),
  folder, quoted(root .. "/scenarios"), folder)))

-- Without the settings of who runs the tests.
local function run(script)
  write(folder .. "/script", script)
  local command = "cd %s && env -i HOME=%s PATH=%s/bin:\"$PATH\" sh -eu script 2>&1 </dev/null"
  return output_of(command:format(folder, folder, folder))
end

-- A broker that runs somewhere is a mosquitto, kept by a scenario while mqrig runs a second time against its URL.
local function run_at_remote(script)
  write(folder .. "/remote.sh", (script:gsub(REMOTE:gsub("%p", "%%%0"), "$1")))
  write(folder .. "/remote.lua", [[
local rig = require "mqrig"
rig.scenario("remote", { timeout = 60 }, function(t)
  local p = t:process { "sh", "-eu", "remote.sh", t:mosquitto().url }
  local status = p:wait { within = 50 }
  t:log(p.output)
  rig.expect(status):equals(0)
end)
]])
  return run "mqrig run remote.lua"
end

-- A proxy goes on until it is told to end: once it listens, at a port that is free here.
local function run_proxy(script)
  write(folder .. "/proxy.sh", "exec " .. script:gsub(":1884", ":0"))
  return run [[
sh -eu proxy.sh >out 2>&1 &
until grep -q "listening at" out; do
  kill -0 $!
done
kill -INT $!
wait $!
cat out
]]
end

local function normal(line)
  return (line:gsub("%s+%d+%.%d+ ms", " N ms"):gsub("(127%.0%.0%.1):%d+", "%1:PORT"):gsub("seed %d+", "seed N")
    :gsub(" %(%d+%.%d+ s%)$", ""):gsub("^mqrig %d+%.%d+%.%d+", "mqrig VERSION"))
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch "([^\n]*)\n" do
    list[#list + 1] = line
  end
  return list
end

-- Whether the lines from i and j on are the same, "..." standing for any.
local function same(shown, real, i, j)
  while i <= #shown do
    if shown[i]:match "^%s*%.%.%.$" then
      for k = j, #real + 1 do
        if same(shown, real, i + 1, k) then
          return true
        end
      end
      return false
    elseif not real[j] or normal(shown[i]) ~= normal(real[j]) then
      return false
    end
    i, j = i + 1, j + 1
  end
  return j > #real
end

local files = {}
local take = {}

function take.lua(block)
  block.file, block.status = block.words:match "^([%w_]+%.lua)%s*(%d*)$"
  check(block, block.file, "a lua block needs a file name")
  if block.file then
    files[#files + 1] = block
    write(folder .. "/" .. block.file, block.text)
  end
end

local function check_quickstart(block)
  local script = read "quickstart"
  for line in block.text:gmatch "[^\n]+" do
    local command = line:gsub("%s*#.*$", "")
    local verb = command:match "^%./quickstart%s*(%S*)$"
    check(block, verb or command:find "^cd " or command:find "^git clone ", "is not known here: " .. line)
    check(block, not verb or script:find((verb == "" and '""' or verb) .. ")\n", 1, true), "quickstart has no " .. line)
  end
end

function take.sh(block)
  local status = block.words:match "^run%s*(%d*)$"
  if not status then
    check(block, block.words == "", "is neither run nor the reader's: " .. block.words)
    return check_quickstart(block)
  end
  local script = block.text:gsub("build/release", (build:gsub("%%", "%%%%")))
  local remote = script:find(REMOTE, 1, true)
  local proxy = script:find "^mqrig proxy "
  local text, got = (remote and run_at_remote or proxy and run_proxy or run)(script)
  block.output = text
  check(block, got == (tonumber(status) or 0), ("ended with %s:"):format(got), text)
end

function take.text(block)
  local source = block.follows
  check(block, source and source.output, "shows the output of nothing")
  if source and source.output then
    check(block, same(lines_of(block.text), lines_of(source.output), 1, 1), "this was printed:", source.output)
  end
end

for _, block in ipairs(blocks_of(read "README.md")) do
  local taker = take[block.language]
  check(block, taker, ('a block of "%s"'):format(block.language))
  if taker then
    taker(block)
  end
end

-- Each example by itself, too.
for _, block in ipairs(files) do
  local text, status = run("mqrig run " .. block.file)
  check(block, status == (tonumber(block.status) or 0), ("%s ended with %s:"):format(block.file, status), text)
end
check({ line = 1 }, #files >= 4, "the examples are gone")

-- Links into the repository lead somewhere.
for target in read("README.md"):gmatch "%]%(([^)#]+)[^)]*%)" do
  if not target:find "^%a+:" then
    check({ line = 1 }, os.execute("test -e " .. quoted(target)), "there is no " .. target)
  end
end

os.execute("rm -rf " .. quoted(folder))
os.exit(failures == 0)
