-- progress: one line on standard error that tells how far the run is; only when that is a terminal.

local core = require "mqrig.core"

local text = require "mqrig.text"

local M = {}

M.COLUMNS = 60 -- of what a scenario says of itself

local active, shown = false, false
local count = "" -- what was shown last

function M.begin(settings)
  active = core.is_terminal(2) and not settings.quiet
end

function M.show(done, total, failed)
  if not active then
    return
  end
  count = (total and ("%d of %d"):format(done, total) or ("%d"):format(done))
    .. (failed > 0 and (", %d failed"):format(failed) or "")
  io.stderr:write("\r\27[K", count)
  shown = true
end

--- What one scenario says of itself, behind how far the run is.
function M.note(line)
  if active then
    io.stderr:write("\r\27[K", count, count ~= "" and ": " or "", (text.cut(text.printable(line), M.COLUMNS)))
    shown = true
  end
end

--- Before anything else is written to the terminal, and at the end.
function M.clear()
  if shown then
    io.stderr:write "\r\27[K"
    shown = false
  end
end

return M
