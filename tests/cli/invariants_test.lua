-- The invariants notice each mistake that the client and the broker can be told to make, in scenarios that look at
-- nothing themselves; as they are, these pass in both worlds.
package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local pipe = assert(io.popen "pwd")
local file = pipe:read "l" .. "/tests/cli/invariants.lua"
pipe:close()

-- The scenario, and what of all that it breaks comes first.
local caught = {
  ["resend-without-dup"] = { "resume", "inv-06 dup" },
  ["dup-at-once"] = { "resume", "inv-06 dup" },
  ["packet-id-reused"] = { "resume", "inv-04 identifier" },
  ["packet-ids-off-by-one"] = { "identifiers", "inv-26 exhaustion" },
  ["pubrel-forgotten"] = { "resume", "inv-08 resume" },
  ["resend-forgotten"] = { "resume", "inv-08 resume" },
  ["publish-after-pubrec"] = { "resume", "inv-09 stage" },
  ["resend-out-of-order"] = { "resume", "inv-08 resume" },
  ["resend-within-connection"] = { "a lost PUBREC", "inv-07 once" },
  ["result-twice"] = { "resume", "inv-24 result" },
  ["result-missing"] = { "lost", "inv-24 result" },
  ["success-too-early"] = { "lost", "inv-25 success" },
  ["failed-as-not-sent"] = { "lost", "inv-18 unsent" },
  ["loss-told-twice"] = { "resume", "inv-27 states" },
  ["buffered-off-by-one"] = { "limits", "inv-28 limits" },
  ["keepalive-from-receiving"] = { "keepalive", "inv-29 keepalive" },
  ["ping-timeout-ignored"] = { "keepalive", "inv-29 keepalive" },
  ["ping-too-often"] = { "keepalive", "inv-29 keepalive" },
  ["connect-timeout-ignored"] = { "timeout", "inv-31 timeout" },
  ["client-dedup-lost"] = { "a lost PUBREC", "inv-16 qos2" },
  ["puback-forgotten"] = { "resume", "inv-10 order" },
  ["puback-wrong-id"] = { "resume", "inv-05 answer" },
  ["sent-after-disconnect"] = { "wills", "inv-02 farewell" },
  ["timer-left"] = { "keepalive", "inv-32 remains" },
  ["will-after-disconnect"] = { "wills", "inv-20 will" },
  ["will-forgotten"] = { "wills", "inv-20 will" },
  ["will-twice"] = { "wills", "inv-20 will" },
  ["keepalive-early"] = { "silence", "inv-30 silence" },
  ["keepalive-late"] = { "silence", "inv-30 silence" },
  ["takeover-keeps-both"] = { "takeover", "inv-23 takeover" },
  ["session-present-lies"] = { "takeover", "inv-21 present" },
  ["subscriptions-lost"] = { "resume", "inv-22 session" },
  ["queue-lost"] = { "resume", "inv-22 session" },
  ["retained-stale"] = { "retained", "inv-19 retained" },
  ["retained-not-cleared"] = { "retained", "inv-19 retained" },
  ["broker-dedup-lost"] = { "a lost PUBREC", "inv-16 qos2" },
  ["qos-0-twice"] = { "keepalive", "inv-14 qos0" },
  ["payload-altered"] = { "resume", "inv-13 origin" },
  ["message-lost"] = { "resume", "inv-15 qos1" },
  ["queue-out-of-order"] = { "resume", "inv-17 sequence" },
  ["queue-off-by-one"] = { "limits", "inv-28 limits" },
  ["pubcomp-forgotten"] = { "resume", "inv-10 order" },
  ["before-connack"] = { "resume", "inv-01 opening" },
  ["neighbour-closed"] = { "neighbour", "inv-36 shelter" },
}

local names = {}
for name in pairs(caught) do
  names[#names + 1] = name
end
table.sort(names)
local wrong = {}
for _, name in ipairs(names) do
  local scenario, invariant = table.unpack(caught[name])
  local arguments = ("run --net sim --seed 1 --capture never -f ': %s' --defect %s %s"):format(scenario, name, file)
  local _, out = program.run(arguments)
  local message = (program.failures(out)[scenario] or ""):match "\n  (inv%-%d+ %w+): "
  if message ~= invariant then
    wrong[#wrong + 1] = ("%s: %s was expected, this came: %s"):format(name, invariant, message or out)
  end
end
assert(#wrong == 0, table.concat(wrong, "\n"))

-- Every mistake that there is has been tried.
local _, _, usage = program.run("run --defect nonsense " .. file)
local known = assert(usage:match "is one of (.-), not ", usage)
for name in known:gmatch "[%w-]+" do
  assert(caught[name], name)
end

program.gives("run --net sim --twice --exclude identifiers " .. file, 0, "\n11 passed, 0 failed, 0 skipped\n$")
program.gives("run -f 'identifiers' " .. file, 0, "\n1 passed, 0 failed, 0 skipped\n$")

-- Over real sockets, and what the failure says.
local shown = program.gives("run --capture never -f ': resume' --defect resend-without-dup " .. file, 1)
assert(shown:find("  inv%-06 dup: c2: PUBLISH id %d was sent again without DUP\n  expected  DUP is 0 on the first sending"), shown)
assert(shown:find("got  +[%d.]+ ms  c2 %-> PUBLISH q%d id %d"), shown)

-- What is left is named, on the wire's timeline, in both worlds.
for world, owner in pairs { sim = " of c1", real = "" } do
  local line = "run --capture never --net %s -f ': wills' --defect timer-left %s"
  local left = program.gives(line:format(world, file), 1)
  assert(left:find "  inv%-32 remains: timers at the end: %d+, at the beginning: 0\n  expected  at the end all that was opened is closed\n", left)
  assert(left:find(" ms  %-%- left: a timer" .. owner .. ", due in [%d.]+ s\n"), left)
end
program.finish()
