-- lastfailed: which scenarios failed in the last run, kept in --out for --last-failed. A run of a part changes only
-- what it ran: what failed before and was not run is still there.

local core = require "mqrig.core"
local near = require "mqrig.near"
local paths = require "mqrig.paths"

local M = {}

function M.path(settings)
  return paths.join(paths.normal(settings.out), "last-failed")
end

--- The set of full names; empty if there is no such file.
function M.read(settings)
  local set = {}
  local file = io.open(M.path(settings), "r")
  if file then
    for line in file:lines() do
      set[line] = line ~= "" or nil
    end
    file:close()
  end
  return set
end

--- `verdicts`: full name -> whether it failed, of those that ran. Writes only what changes; nil, or a sentence.
function M.write(settings, verdicts)
  local set, changed = M.read(settings), false
  for name, failed in pairs(verdicts) do
    changed = changed or (set[name] or false) ~= failed
    set[name] = failed or nil
  end
  if not changed then
    return nil
  end
  local made, problem = core.make_directory(paths.normal(settings.out))
  if made then
    made, problem = paths.write(M.path(settings), table.concat(near.keys(set), "\n") .. "\n")
  end
  if not made then
    return ("the list of failures %s cannot be written: %s"):format(M.path(settings), problem)
  end
end

return M
