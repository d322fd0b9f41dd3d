-- programs: starts what is measured, each run with a limit of time, and reads what it prints: lines of key=value, each
-- a record.

local M = { folder = "build/bench/", program = os.getenv("MQRIG") or "build/release/mqrig" }

local FIGURES_FILE = M.folder .. "figures.txt"

local function record_of(line)
  local record = {}
  for key, value in line:gmatch("([%w_]+)=(%S+)") do record[key] = tonumber(value) or value end
  return record
end

-- The records of a run, as a list that can also be asked for a field of whichever record has it.
local function records_of(text)
  local records = {}
  for line in text:gmatch("[^\n]+") do
    local record = record_of(line)
    if next(record) then records[#records + 1] = record end
  end
  return records
end

function M.find(records, key, value)
  for _, record in ipairs(records) do
    if record[key] and (value == nil or record[key] == value) then return record end
  end
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  return text
end

local function fail(command, text)
  error(("%s failed:\n%s"):format(command, text), 0)
end

-- A peer's program. One that the limit stopped gives the records that it had written; its last says status=124.
function M.peer(limit_s, command, ca)
  local trust = ca and "BENCH_CA=" .. ca or ""
  local text = output_of(("%s exec %smeasure %d %s%s 2>&1"):format(trust, M.folder, limit_s, M.folder, command))
  local records = records_of(text)
  local whole = M.find(records, "whole_wall_s")
  if not whole or (whole.status ~= 0 and whole.status ~= 124) then fail(command, text) end
  return records
end

-- A scenario file of this folder, through the release program. It writes its figures to a file.
function M.mqrig(scenario, port, params, ca)
  local scheme, trust = ca and "mqtts" or "mqtt", ca and "SSL_CERT_FILE=" .. ca or ""
  local words = { M.program, ("run tests/bench/%s.lua --broker %s://127.0.0.1:%d"):format(scenario, scheme, port) }
  params.out = FIGURES_FILE
  for key, value in pairs(params) do words[#words + 1] = ("-p %s=%s"):format(key, value) end
  local command = table.concat(words, " ")
  os.remove(FIGURES_FILE)
  local text = output_of(("%s exec %smeasure 180 %s 2>&1"):format(trust, M.folder, command))
  local whole = M.find(records_of(text), "whole_wall_s")
  if not whole or whole.status ~= 0 then fail(command, text) end
  local file <close> = assert(io.open(FIGURES_FILE))
  local records = records_of(file:read("a"))
  records[#records + 1] = whole
  return records
end

function M.first(runs, command)
  local text = output_of(("exec %sfirstpublish %d %s 2>&1"):format(M.folder, runs, command))
  local record = M.find(records_of(text), "median_ms")
  if not record then fail(command, text) end
  return record
end

-- A program in the background, which the kernel ends with this one. To be closed.
local function keep(limit_s, command)
  local pipe = assert(io.popen(("exec %sprobe keep %d %s"):format(M.folder, limit_s, command)))
  local kept = { pid = record_of(pipe:read("l") or "").pid, pipe = pipe }
  return setmetatable(kept, {
    __close = function(self)
      os.execute(("kill %d 2>/dev/null"):format(self.pid))
      self.pipe:close()
    end,
  })
end

local CONFIGURATION = [[
listener %d 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_dest none
user %s
%s
]]

local function mosquitto_once(user, tls)
  local port = tonumber(output_of(M.folder .. "probe free"))
  local name = M.folder .. "mosquitto.conf"
  local file = assert(io.open(name, "w"))
  file:write(CONFIGURATION:format(port, user, tls or ""))
  file:close()
  local kept = keep(3600, ("mosquitto -c %s 2>/dev/null"):format(name))
  local is_up = os.execute(("%sprobe wait %d"):format(M.folder, port))
  -- One that lost its port to somebody else has ended.
  if is_up and os.execute(("kill -0 %d 2>/dev/null"):format(kept.pid)) then
    kept.port = port
    return kept
  end
  getmetatable(kept).__close(kept)
end

-- A mosquitto of our own on a free port of loopback, with lines for TLS or without. To be closed.
function M.mosquitto(tls)
  local user = output_of("id -un"):match("%S+")
  for _ = 1, 5 do
    local broker = mosquitto_once(user, tls)
    if broker then return broker end
  end
  error("mosquitto does not start", 0)
end

-- The same with TLS, and the file with its CA in `ca`.
function M.secure_mosquitto()
  local folder = M.folder .. "certificates"
  os.execute("mkdir -p " .. folder)
  output_of(("%s run tests/bench/certificates.lua -p out=%s 2>&1"):format(M.program, folder))
  local broker = M.mosquitto(("certfile %s/cert.pem\nkeyfile %s/key.pem"):format(folder, folder))
  broker.ca = folder .. "/ca.pem"
  return broker
end

-- fn(port) with a broker that never acknowledges.
function M.with_stub(marks, fn)
  local stub <close> = keep(1800, M.folder .. "withhold " .. marks)
  local port = record_of(stub.pipe:read("l") or "").port
  if not port then error("withhold does not start", 0) end
  return fn(port)
end

function M.output(command) return output_of(command) end

return M
