-- npm: a package of Node.js for a test, installed under build/. Without Node.js, or without the package's registry, the
-- test says so and is over.

local M = {}

M.FOLDER = "build/npm"

function M.succeeds(command)
  return (os.execute(command)) == true
end

local function skip(why)
  print("skipped: " .. why)
  os.exit(0)
end

--- "mqtt@5.16.0"
function M.need(package)
  local folder = M.FOLDER .. "/" .. package:gsub("@", "-")
  if not M.succeeds "node --version >/dev/null 2>&1" then
    skip "there is no Node.js (packages nodejs and npm)"
  end
  if not M.succeeds(("test -d %s/node_modules/%s"):format(folder, package:match "^[^@]+")) then
    local install = "mkdir -p %s && npm install --prefix %s --no-audit --no-fund --no-save --ignore-scripts "
      .. "--fetch-retries 1 --fetch-timeout 30000 %s >%s/log 2>&1"
    if not M.succeeds(install:format(folder, folder, package, folder)) then
      skip(("%s could not be installed: see %s/log"):format(package, folder))
    end
  end
  return folder .. "/node_modules"
end

return M
