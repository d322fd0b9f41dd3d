-- program: runs the program under test ($MQRIG) in a directory of its own.

local M = {}

local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")

M.folder = os.tmpname()
os.remove(M.folder)
assert(os.execute("mkdir -p " .. M.folder .. "/tmp"))

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read "a"
  file:close()
  return content
end

--- Writes a file into the test's folder, with the folders in its name.
function M.write(name, content)
  local inner = name:match "^(.*)/"
  if inner then
    assert(os.execute(("mkdir -p %s/%s"):format(M.folder, inner)))
  end
  local file = assert(io.open(M.folder .. "/" .. name, "wb"))
  file:write(content)
  file:close()
  return name
end

function M.read(name)
  return read(M.folder .. "/" .. name)
end

function M.has(name)
  local file = io.open(M.folder .. "/" .. name)
  if file then
    file:close()
  end
  return file ~= nil
end

--- `line`: arguments as a shell takes them, redirections too; `before`: what stands in front, such as variables;
--- `input`: a file, default none. Returns status, out, err.
function M.run(line, before, input)
  local command = ("cd %s && TMPDIR=%s/tmp %s timeout -s KILL 300 %s >.out 2>.err <%s %s"):format(M.folder, M.folder,
    before or "", executable, input or "/dev/null", line)
  local _, how, status = os.execute(command)
  assert(how == "exit", command)
  return status, M.read ".out", M.read ".err"
end

--- Runs and checks the status and a pattern of each stream (nil: anything). Returns out, err.
function M.gives(line, status, out_pattern, err_pattern, before, input)
  local got, out, err = M.run(line, before, input)
  local function check(good, what)
    if not good then
      error(("mqrig %s: %s\nstatus %d\n%s\n%s"):format(line, what, got, out, err), 3)
    end
  end
  check(got == status, "status " .. status .. " was expected")
  check(not out_pattern or out:find(out_pattern), "standard output: " .. tostring(out_pattern))
  check(not err_pattern or err:find(err_pattern), "standard error: " .. tostring(err_pattern))
  return out, err
end

-- Every piece of text, in this order.
local function check_pieces(text, pieces, what)
  local at = 1
  for _, piece in ipairs(type(pieces) == "string" and { pieces } or pieces or {}) do
    local from, to = text:find(piece, at, true)
    if not from then
      error(("%s: this was expected%s: %s\n%s"):format(what, at > 1 and " after the others" or "", piece, text), 4)
    end
    at = to -- a line end may end one and begin the next
  end
end

--- Runs and checks the status and pieces of each stream: plain texts in order, one or a list. Returns out, err.
function M.says(line, status, out_pieces, err_pieces, before, input)
  local out, err = M.gives(line, status, nil, nil, before, input)
  check_pieces(out, out_pieces, "mqrig " .. line .. ", standard output")
  check_pieces(err, err_pieces, "mqrig " .. line .. ", standard error")
  return out, err
end

--- What a scenario file begins with.
M.head = [[
local rig = require "mqrig"
local mqtt, scenario, expect = rig.mqtt, rig.scenario, rig.expect
]]

--- What reports of this text are about, by scenario: the lines of each failure.
function M.failures(out)
  local by_name, name = {}, nil
  for line in out:gmatch "[^\n]+" do
    local begins = line:match "^FAILED   [^:]+: (.-)$"
    if begins then
      name = begins:gsub(" %([%d.]+ s%)$", "")
      by_name[name] = {}
    elseif not line:find "^ " then
      name = nil
    elseif name then
      table.insert(by_name[name], line)
    end
  end
  for key, lines in pairs(by_name) do
    by_name[key] = table.concat(lines, "\n")
  end
  return by_name
end

--- Whether a process is there and runs; one that has ended and waits for its parent is not.
function M.is_running(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  local state = file and file:read "a":match "%) (%a)"
  if file then
    file:close()
  end
  return state ~= nil and state ~= "Z" and state ~= "X"
end

--- The file `name` holds at least `least` numbers of processes, none of which is there any more. Those whose parent was
--- killed may need a moment: each is waited for, at most 20 s. Removes the file.
function M.check_gone(name, least)
  local count = 0
  for pid in M.read(name):gmatch "%d+" do
    count = count + 1
    local due = os.time() + 20
    while M.is_running(pid) and os.time() < due do
      os.execute "exec true"
    end
    if M.is_running(pid) then
      error("process " .. pid .. " is left: " .. read("/proc/" .. pid .. "/cmdline"):gsub("\0", " "), 2)
    end
  end
  assert(count >= least, ("%s: %d processes, %d were expected"):format(name, count, least))
  os.remove(M.folder .. "/" .. name)
end

--- Folders for temporary files that are left; they are under the test's own folder.
function M.count_temporary()
  local pipe = io.popen(("ls -d %s/tmp/mqrig-* 2>/dev/null | wc -l"):format(M.folder))
  local count = pipe:read "n"
  pipe:close()
  return count
end

function M.finish()
  assert(os.execute("rm -r " .. M.folder))
end

return M
