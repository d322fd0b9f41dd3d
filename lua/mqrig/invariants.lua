-- invariants: what must hold in every scenario, whatever it does: mqrig's own client and broker keep the rules.

local core = require "mqrig.core"

local M = {}

-- How late a thing may be that has its time: a busy machine is late; in virtual time it is only that nobody wakes up
-- exactly when he meant to.
local SLACK_NS = { real = 2000000000, sim = 1000 }

--- A checker of that timeline: checker:judge(). In virtual time it sees each entry as it comes, so that none is
--- gone before it was looked at; elsewhere it costs nothing until the end, and then as much as the timeline holds.
function M.checker(timeline, net)
  return core.checker(timeline, SLACK_NS[net] or SLACK_NS.real, net == "sim")
end

local function sentence(b)
  return ("%s: %s%s"):format(b.id, b.who == "" and "" or b.who .. ": ", b.text)
end

--- The first of what was broken as a failure, or nil; the others as lines.
function M.failure(violations)
  local first = violations[1]
  if not first then
    return nil, {}
  end
  local others = {}
  for i = 2, #violations do
    others[i - 1] = sentence(violations[i])
  end
  return {
    message = sentence(first),
    expected = first.promise,
    got = first.line or first.text,
    invariant = first.id,
    entry = first.entry > 0 and first.entry or nil,
  }, others
end

return M
