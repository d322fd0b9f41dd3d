-- --capture: what tshark, which does not know us, makes of the files.

package.path = "/usr/share/lua/5.4/?.lua;" .. package.path
local executable = assert(os.getenv "MQRIG", "MQRIG names the program under test")
local out = os.tmpname()
os.remove(out)

local function read(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command)
  return text
end

assert(os.execute "command -v tshark >/dev/null", "tshark is not installed: apt-get install tshark")
local addresses = io.open "/proc/net/if_inet6"
local has_ipv6 = addresses and addresses:read "l" ~= nil
local command = "%s run tests/real/capturing.lua %s --seed 5 --capture always --out %s 2>&1 || true"
local log = read(command:format(executable, has_ipv6 and "" or "--exclude IPv6", out))
assert(log:find(("\n%d passed, 0 failed, 0 skipped\n"):format(has_ipv6 and 10 or 9)), log)

-- The lines of the text beside it that are packets, without their times.
local function lines_of(name)
  local path = read(("ls %s/capturing-*-%s-*.txt"):format(out, name)):match "[^\n]+"
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = line:match "^ *[%d.]+ ms  (.*)"
  end
  return lines, path:gsub("%.txt$", ".pcapng")
end

local checks = "-o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE"

local function tshark(path, filter, fields)
  local columns = {}
  for i, field in ipairs(fields) do
    columns[i] = "-e " .. field
  end
  local text = read(("tshark -r %s %s -Y '%s' -T fields %s 2>/dev/null"):format(path, checks, filter,
    table.concat(columns, " ")))
  local rows = {}
  for row in text:gmatch "[^\n]+" do
    rows[#rows + 1] = row
  end
  return rows
end

-- Nothing that an analyser has to complain about: a broken packet, a checksum, a sequence number, a full window.
local function check_sound(path)
  local all = tshark(path, "tcp", { "frame.number" })
  assert(#all > 0, path)
  local good = tshark(path, "tcp.checksum.status == 1 && (ipv6 || ip.checksum.status == 1)", { "frame.number" })
  assert(#good == #all, ("%s: %d of %d checksums"):format(path, #good, #all))
  local bad = tshark(path, "_ws.malformed || tcp.analysis.flags || _ws.expert.severity == error",
    { "frame.number", "_ws.expert.message" })
  assert(#bad == 0, path .. ": " .. table.concat(bad, "; "))
end

local numbers = { CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, PUBREC = 5, PUBREL = 6, PUBCOMP = 7, SUBSCRIBE = 8,
  SUBACK = 9, UNSUBSCRIBE = 10, UNSUBACK = 11, PINGREQ = 12, PINGRESP = 13, DISCONNECT = 14 }

-- What the client (or any, of several) has on its lines, and what tshark has, as numbers of packet types.
local function types_of(lines, who)
  local types = {}
  for _, line in ipairs(lines) do
    local name, kind = line:match "^(%S+) [-<][->] (%u+)"
    if kind and name:find(who) then
      types[#types + 1] = numbers[kind]
    end
  end
  return table.concat(types, ",")
end

local function types_in(path)
  return table.concat(tshark(path, "mqtt", { "mqtt.msgtype" }), ",")
end

local talks = { conversation = "^c1$", mosquitto = "^c1$", ipv6 = has_ipv6 and "^c1$" or nil, ["unix-socket"] = "^c1$",
  large = "^c1$", ["a-client-that-connects-again"] = "^c%d$", ["two-at-once"] = "^c%d$" }
for name, who in pairs(talks) do
  local lines, path = lines_of(name)
  check_sound(path)
  local want, got = types_of(lines, who), types_in(path)
  assert(want == got and #want > 10, ("%s:\n%s\n%s"):format(path, want, got))
end

-- Fields, not only types.
local _, path = lines_of "conversation"
local topics = tshark(path, "mqtt.msgtype == 3", { "mqtt.topic", "mqtt.qos", "mqtt.msg" })
assert(#topics == 6 and topics[1]:find "^a\t[0]*0\t", table.concat(topics, "\n"))
_, path = lines_of "large"
local size = tshark(path, "mqtt.msgtype == 3", { "mqtt.len" })
assert(size[1] == "200009" and size[2] == "200009", table.concat(size, " "))
if has_ipv6 then
  _, path = lines_of "ipv6"
  assert(#tshark(path, "ipv6.addr == ::1 && tcp.port == 1883", { "frame.number" }) > 10)
end

-- Opened, and closed in order: no half of a conversation is left open.
_, path = lines_of "a-client-that-connects-again"
assert(#tshark(path, "tcp.flags.syn == 1 && tcp.flags.ack == 0", { "tcp.srcport" }) == 4)
assert(#tshark(path, "tcp.flags.fin == 1", { "tcp.srcport" }) >= 6)

-- Faults are comments on what they hit; what was cut off is there up to that byte.
local lines
lines, path = lines_of "faults"
check_sound(path)
local function comment(filter, want)
  local got = table.concat(tshark(path, filter, { "frame.comment" }), "; ")
  assert(got:find(want, 1, true), ("%s: %s\n%s"):format(filter, got, table.concat(lines, "\n")))
end
comment("mqtt.msgtype == 4 && mqtt.msgid == 1", "peer1#1 !! down PUBACK first drop (did not pass)")
comment("mqtt.msgtype == 4 && mqtt.msgid == 2", "c1 !! down PUBACK first delay 20ms")
comment("mqtt.msgtype == 3 && mqtt.msgid == 2", "c1 !! up PUBLISH nth 2 split 3")
comment("tcp.len == 5 && !mqtt", "c1 !! up PUBLISH nth 3 at_byte 5 rst (cut off at byte 5)")
comment("tcp.flags.syn == 1", "(peer1#1)")
lines, path = lines_of "proxy"
check_sound(path)
comment("mqtt.msgtype == 9", "proxy1#1 !! down SUBACK delay 20ms")
comment("mqtt.msgtype == 4 && mqtt.msgid == 2", "proxy1#1 !! down PUBACK first drop (did not pass)")
assert(#tshark(path, "tcp.flags.syn == 1 && tcp.flags.ack == 0", { "tcp.srcport" }) == 1)
_, path = lines_of "a-reset-by-the-scenario"
lines = {}
comment("tcp.flags.reset == 1", "c1 !! rst now")

-- Real time.
_, path = lines_of "conversation"
local times = tshark(path, "frame", { "frame.time_epoch" })
assert(math.abs(tonumber(times[1]) - os.time()) < 300 and tonumber(times[#times]) > tonumber(times[1]))

-- The file tells what it is of.
local about = read("capinfos " .. path .. " 2>/dev/null")
assert(about:find "mqrig %d" and about:find "conversation" and about:find "seed 5" and about:find "nanoseconds", about)
os.execute("rm -rf " .. out)
