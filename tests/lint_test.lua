-- The house rules, checked by a script: run from the root of the repository. Prints each breach as file:line and exits 1.

local LINES_C, LINES_H, LINES_LUA, LINES_FUNCTION, COLUMNS = 800, 120, 400, 70, 120

-- What each folder may include, besides itself and the C library.
local EDGES = {
  ["harness/base"] = {},
  ["harness/mqtt"] = { "base" },
  ["harness/net"] = { "base" },
  ["harness/host"] = { "base", "mqtt", "net" },
  ["harness/bind"] = { "base", "mqtt", "net", "host", "fault" },
  ["fault"] = { "base", "mqtt", "net/net.h", "net/chain.h", "net/tlsname.h", "net/pki.h", "net/transport.h", "net/tls.h", "net/tlsconfig.h", "net/http.h", "net/oscall.h", "net/pcapng.h", "net/segment.h" },
  ["harness"] = { "bind" },
}

-- The programs, which choose a driver, may include more.
local MORE = { ["fault/proxy_main.c"] = { "net/evnet.h", "net/evweb.h" } }

-- Libraries, and the files that may include them (Lua patterns of paths).
local LIBRARIES = {
  { include = "^event2/", files = "^harness/net/ev" },
  { include = "^jansson%.h$", files = "^fault/control" },
  { include = "^lua%.h$", files = "^harness/bind/" },
  { include = "^lauxlib%.h$", files = "^harness/bind/", also = "^harness/main%.c$" },
  { include = "^lualib%.h$", files = "^harness/bind/lguard%.c$", also = "^harness/main%.c$" },
  { include = "^wslay/", files = "^harness/net/ws" },
  { include = "^mbedtls/", files = "^harness/net/tls", also = "^harness/net/pki" },
}

-- Calls that have no business in some place. `except`: paths that may.
local BANNED = {
  { calls = { "strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "alloca", "atoi" }, where = "", why = "has no bound or no error" },
  { calls = { "sleep", "usleep", "nanosleep" }, where = "", why = "waits for time, not for an event" },
  { calls = { "exit", "_Exit", "abort", "_exit" }, where = "^harness/", except = { "^harness/main%.c$", "^harness/base/mem%.c$", "^harness/host/process%.c$" }, why = "ends the process below main" },
  { calls = { "exit", "_Exit", "abort" }, where = "^fault/", except = { "^fault/proxy_main%.c$" }, why = "ends the process below main" },
  { calls = { "malloc", "calloc", "realloc", "strdup" }, where = "^harness/", except = { "^harness/base/mem%.c$", "^harness/bind/lguard%.c$" }, why = "can fail: use mem.h" },
  { calls = { "malloc", "calloc", "realloc", "strdup" }, where = "^fault/", why = "can fail: use mem.h" },
  { calls = { "time", "clock_gettime", "gettimeofday", "rand", "random", "getenv", "printf", "fprintf", "socket", "fopen" }, where = "^harness/mqtt/", why = "the protocol core has no clock, chance, environment or output" },
  { calls = { "time", "gettimeofday", "rand", "random" }, where = "^harness/", why = "is no monotonic time, or no seeded chance" },
  { calls = { "fork", "vfork", "execve", "execvp", "execvpe", "system", "popen" }, where = "", except = { "^harness/host/process", "^tests/" }, why = "belongs to process.c" },
}

-- Longer than the rule, each with its reason.
local EXCUSED = {}

local breaches = 0
local function breach(file, line, text)
  breaches = breaches + 1
  print(("%s:%d: %s"):format(file, line, text))
end

local function files(pattern)
  local list = {}
  local pipe = assert(io.popen("git ls-files --cached --others --exclude-standard"))
  for name in pipe:lines() do
    if name:match(pattern) then list[#list + 1] = name end
  end
  pipe:close()
  return list
end

local function lines_of(file)
  local list = {}
  for line in io.lines(file) do list[#list + 1] = line end
  return list
end

local function folder_of(file) return file:match("^(.*)/[^/]*$") or "" end
local function stem_of(file) return file:match("([^/]+)%.%w+$") end

local function matches_any(patterns, text)
  for _, pattern in ipairs(patterns or {}) do
    if text:match(pattern) then return true end
  end
  return false
end

local function check_include(file, number, name)
  for _, library in ipairs(LIBRARIES) do
    if name:match(library.include) and not file:match(library.files) and not (library.also and file:match(library.also)) then
      breach(file, number, "may not include " .. name)
    end
  end
  local own = folder_of(file)
  local edges = EDGES[own]
  local first = name:match("^([%w]+)/")
  local to_ours = first and (EDGES["harness/" .. first] or EDGES[first])
  if not edges or not to_ours or own:match("([^/]+)$") == first then return end
  for _, list in ipairs { edges, MORE[file] or {} } do
    for _, edge in ipairs(list) do
      if edge == first or edge == name then return end
    end
  end
  breach(file, number, ("%s may not include %s"):format(own, name))
end

local function without_comments(line)
  return (line:gsub("/%*.-%*/", ""):gsub("//.*", ""):gsub('"[^"]*"', '""'))
end

local function check_calls(file, number, line)
  for _, rule in ipairs(BANNED) do
    if file:match(rule.where) and not matches_any(rule.except, file) then
      for _, call in ipairs(rule.calls) do
        if line:match("%f[%w_]" .. call .. "%s*%(") and not line:match("[.>]%s*" .. call .. "%s*%(") then
          breach(file, number, ("%s(): %s"):format(call, rule.why))
        end
      end
    end
  end
end

-- A definition begins in column 1 and its opening brace ends a line.
local function check_functions(file, lines)
  local stem, name, start = stem_of(file), nil, nil
  for number, line in ipairs(lines) do
    local found = not line:match("^[%s#/*}]") and not line:match("^typedef") and line:match("([%w_]+)%s*%(")
    if found and not line:match("=") and not line:match(";%s*$") then name, start = found, number end
    if line:match("^}") and name then
      local length = number - start + 1
      if length > LINES_FUNCTION and not EXCUSED[file .. ":" .. name] then
        breach(file, start, ("%s has %d lines, %d at most"):format(name, length, LINES_FUNCTION))
      end
      if name ~= "main" and name:sub(1, #stem + 1) ~= stem .. "_" and name ~= stem then
        breach(file, start, ("%s does not begin with %s_"):format(name, stem))
      end
      name = nil
    end
  end
end

local function check_source(file)
  local lines = lines_of(file)
  local limit = file:match("%.h$") and LINES_H or LINES_C
  if #lines > limit and not EXCUSED[file] then breach(file, limit, ("%d lines, %d at most"):format(#lines, limit)) end
  local in_comment = false
  for number, line in ipairs(lines) do
    if #line > COLUMNS then breach(file, number, ("%d columns, %d at most"):format(#line, COLUMNS)) end
    local include = line:match('^#include [<"]([^>"]+)[>"]')
    if include then check_include(file, number, include) end
    if line:match("^%s*/%*") then in_comment = true end
    if not in_comment then check_calls(file, number, without_comments(line)) end
    if line:match("%*/") then in_comment = false end
  end
  if file:match("%.c$") then check_functions(file, lines) end
end

local stems = {}
for _, file in ipairs(files("^harness/.*%.[ch]$")) do stems[#stems + 1] = file end
for _, file in ipairs(files("^fault/.*%.[ch]$")) do stems[#stems + 1] = file end
local seen = {}
for _, file in ipairs(stems) do
  check_source(file)
  local key = file:match("([^/]+)$")
  if seen[key] then breach(file, 1, "the same name as " .. seen[key]) end
  seen[key] = file
  local stem = stem_of(file)
  if matches_any({ "util", "misc", "common", "helper", "^types$" }, stem) then breach(file, 1, "a name that says nothing") end
end

for _, file in ipairs(files("^lua/.*%.lua$")) do
  local lines = lines_of(file)
  if #lines > LINES_LUA and not file:match("%.d%.lua$") and not EXCUSED[file] then
    breach(file, LINES_LUA, ("%d lines, %d at most"):format(#lines, LINES_LUA))
  end
end

for _, file in ipairs(files("^tests/.*%.c$")) do
  for number, line in ipairs(lines_of(file)) do
    for _, call in ipairs { "sleep", "usleep", "nanosleep" } do
      if line:match("%f[%w_]" .. call .. "%s*%(") then breach(file, number, call .. "(): waits for time, not for an event") end
    end
  end
end

-- The repository speaks of the product only.
local MACHINE = { "/wo" .. "rk/", "/fa" .. "rm/", "/ro" .. "ot/" }
for _, file in ipairs(files(".")) do
  if not file:match("/corpus/") then
    for number, line in ipairs(lines_of(file)) do
      for _, path in ipairs(MACHINE) do
        if line:find(path, 1, true) then breach(file, number, "a path of one machine: " .. path) end
      end
    end
  end
end

if breaches > 0 then
  print(breaches .. " breaches of the house rules")
  os.exit(1)
end
