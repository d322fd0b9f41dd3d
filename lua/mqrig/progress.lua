-- progress: one line on standard error that tells how far the run is; only when that is a terminal.

local core = require "mqrig.core"

local M = {}

local active, shown = false, false

function M.begin(settings)
  active = core.is_terminal(2) and not settings.quiet
end

function M.show(done, total, failed)
  if not active then
    return
  end
  io.stderr:write("\r\27[K", total and ("%d of %d"):format(done, total) or ("%d"):format(done),
    failed > 0 and (", %d failed"):format(failed) or "")
  shown = true
end

--- Before anything else is written to the terminal, and at the end.
function M.clear()
  if shown then
    io.stderr:write "\r\27[K"
    shown = false
  end
end

return M
