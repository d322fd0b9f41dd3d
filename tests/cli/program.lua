-- program: runs the program under test ($MQRIG) in a directory of its own.

local M = {}

local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")

M.folder = os.tmpname()
os.remove(M.folder)
assert(os.execute("mkdir -p " .. M.folder))

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read "a"
  file:close()
  return content
end

function M.write(name, content)
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

--- `line`: arguments as a shell takes them; `before`: what stands in front, such as variables; `input`: a file, default
--- none. Returns status, out, err.
function M.run(line, before, input)
  local command = ("cd %s && %s timeout -s KILL 120 %s %s >.out 2>.err <%s"):format(M.folder, before or "", executable,
    line, input or "/dev/null")
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

function M.finish()
  assert(os.execute("rm -r " .. M.folder))
end

return M
