-- The control interface of mqrig-proxy, driven by Toxiproxy's npm client, with every toxic, between mosquitto and its own
-- clients. The client is installed under build/. Without Node.js, or without the package's registry, the test says so
-- and is over.

local proxy = assert(os.getenv "MQRIG_PROXY", "MQRIG_PROXY is the program under test")
local CLIENT = "toxiproxy-node-client@4.1.0"
local FOLDER = "build/npm"

local function succeeds(command)
  return (os.execute(command)) == true
end

local function skip(why)
  print("skipped: " .. why)
  os.exit(0)
end

if not succeeds "node --version >/dev/null 2>&1" then
  skip "there is no Node.js (packages nodejs and npm)"
end
if not succeeds("test -d " .. FOLDER .. "/node_modules/toxiproxy-node-client") then
  local install = "mkdir -p %s && npm install --prefix %s --no-audit --no-fund --no-save --ignore-scripts --fetch-retries 1 "
    .. "--fetch-timeout 30000 %s >%s/log 2>&1"
  if not succeeds(install:format(FOLDER, FOLDER, CLIENT, FOLDER)) then
    skip(("%s could not be installed: see %s/log"):format(CLIENT, FOLDER))
  end
end

local folder = os.tmpname()
os.remove(folder)
assert(succeeds("mkdir " .. folder))
local command = "NODE_PATH=%s/node_modules node tests/real/toxiproxy.js %s %s"
local good = succeeds(command:format(FOLDER, proxy, folder))
os.execute("rm -r " .. folder)
os.exit(good and 0 or 1)
