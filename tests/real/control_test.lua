-- The control interface of mqrig-proxy, driven by Toxiproxy's npm client, with every toxic, between mosquitto and its own
-- clients.

local proxy = assert(os.getenv "MQRIG_PROXY", "MQRIG_PROXY is the program under test")
local npm = dofile "tests/real/npm.lua"
local modules = npm.need "toxiproxy-node-client@4.1.0"
local folder = os.tmpname()
os.remove(folder)
assert(npm.succeeds("mkdir " .. folder))
local good = npm.succeeds(("NODE_PATH=%s node tests/real/toxiproxy.js %s %s"):format(modules, proxy, folder))
os.execute("rm -r " .. folder)
os.exit(good and 0 or 1)
