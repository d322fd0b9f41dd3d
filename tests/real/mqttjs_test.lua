-- WebSockets and TLS with MQTT.js at the other end, in both directions.

local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local npm = dofile "tests/real/npm.lua"
local modules = npm.need "mqtt@5.16.0"
local pwd = assert(io.popen "pwd"):read "l"
local out = os.tmpname()
os.remove(out)
local good = npm.succeeds(("NODE_PATH=%s/%s %s run tests/real/mqttjs.lua --out %s"):format(pwd, modules, executable, out))
os.execute("rm -rf " .. out)
os.exit(good and 0 or 1)
