-- Every mistake that the client and the built-in broker can be told to make is found by the standard campaign, and by an
-- invariant or for want of progress, not by chance.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

local SEEDS = 1000 -- for each at most

local _, _, err = program.run "run --defect none.of.them"
local names = {}
for name in err:match("%-%-defect is one of (.-), not "):gmatch "[%l%d-]+" do
  names[#names + 1] = name
end
assert(#names >= 40, err)

for _, name in ipairs(names) do
  local line = ("explore --seeds %d --seed 1 -j 2 --no-shrink --capture never --defect %s"):format(SEEDS, name)
  local out = program.gives(line, 1, "\n%d+ passed, [12] failed, 0 skipped\n$")
  local reason = out:match "campaign:0\n  ([^\n]+)"
  assert(reason and (reason:find "^inv%-%d%d " or reason:find "^no progress "), out)
  print(("%-26s seed %4d  %s"):format(name, out:match "seed (%d+) %(", reason))
end
program.finish()
