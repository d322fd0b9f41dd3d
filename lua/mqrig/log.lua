-- log: the newest output of a process or a broker, bounded, with the lines it makes.

local M = {}

M.BYTES_MAX = 65536

local Log = {}
Log.__index = Log

function M.new(name)
  return setmetatable({ name = name, parts = {}, size = 0, dropped = false }, Log)
end

function Log:add(text)
  local parts = self.parts
  parts[#parts + 1] = text
  self.size = self.size + #text
  if self.size > 2 * M.BYTES_MAX then
    local whole = table.concat(parts)
    self.parts = { whole:sub(-M.BYTES_MAX) }
    self.size = M.BYTES_MAX
    self.dropped = true
  end
end

--- What there is, from the beginning of a line.
function Log:text()
  local whole = table.concat(self.parts)
  if #whole > M.BYTES_MAX then
    whole = whole:sub(-M.BYTES_MAX)
    self.dropped = true
  end
  self.parts = { whole }
  self.size = #whole
  return self.dropped and whole:gsub("^[^\n]*\n", "... (what was before is dropped)\n", 1) or whole
end

return M
