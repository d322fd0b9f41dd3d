-- websocket: the option `ws` of clients and peers.

local units = require "mqrig.units"

local M = {}

--- As the C side takes them: a size is bytes there. What is wrong otherwise is said there.
function M.options(ws)
  if type(ws) ~= "table" or ws.frame_max == nil then
    return ws
  end
  local given = {}
  for key, value in next, ws do
    given[key] = value
  end
  given.frame_max = units.size(ws.frame_max, "ws: frame_max")
  return given
end

return M
