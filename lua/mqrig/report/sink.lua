-- sink: where a report goes: a file or standard output. The first failure to write is kept, and the rest of that
-- report is dropped, so that a full disk under one report loses nothing of the others.

local M = {}
M.__index = M

--- `path` nil: standard output. Nil and a sentence if it cannot be opened for writing.
function M.open(path)
  if not path then
    return setmetatable({ handle = io.stdout, name = "standard output" }, M)
  end
  local handle, problem = io.open(path, "w")
  if not handle then
    return nil, ("the report file cannot be written: %s"):format(problem)
  end
  return setmetatable({ handle = handle, name = path, is_file = true }, M)
end

local function keep(self, ok, problem)
  if not ok and not self.failed then
    self.failed = ("the report on %s is not complete: %s"):format(self.name, tostring(problem))
  end
end

function M:write(...)
  if not self.failed then
    keep(self, self.handle:write(...))
  end
end

function M:flush()
  if not self.failed then
    keep(self, self.handle:flush())
  end
end

--- Nil, or the sentence about what went wrong since it was opened.
function M:close()
  self:flush()
  if self.is_file then
    local ok, problem = self.handle:close()
    keep(self, ok, problem)
  end
  return self.failed
end

return M
