-- failure: what a failed expectation or wait raises: a value that knows what was expected, what came, and where.

local blame = require "mqrig.blame"

local M = {}
local Failure = {}
Failure.__index = Failure
Failure.__name = "failure"

function Failure:__tostring()
  local text = self.message
  if self.expected then
    text = ("%s: expected %s, got %s"):format(text, self.expected, self.got)
  end
  return self.file and ("%s:%d: %s"):format(self.file, self.line, text) or text
end

-- The newest one, kept for errors in callbacks, of which only the text comes back from the core.
M.newest = nil

--- Fields: message, expected, got (texts), environment (true: the surroundings are at fault, not the scenario).
function M.new(fields)
  local f = setmetatable(fields, Failure)
  if not f.file then
    f.file, f.line = blame.where()
  end
  M.newest = f
  return f
end

function M.raise(fields)
  error(M.new(fields), 0)
end

--- Asked for more to say about a wait in vain: nil, or a sentence.
function M.more_about_late() end

--- A wait that was in vain: "no PUBACK came within 5 s".
function M.late(what, within_ns, hint)
  local more = M.more_about_late()
  M.raise {
    message = ("%s within %g s%s%s"):format(what, within_ns / 1e9, hint and ": " .. hint or "",
      more and "\n" .. more or ""),
  }
end

local Skip = { __name = "skip" }

function Skip:__tostring()
  return self.reason
end

--- Ends the scenario as one that cannot be run here.
function M.skip(reason)
  error(setmetatable({ reason = reason }, Skip), 0)
end

function M.is_skip(value)
  return getmetatable(value) == Skip
end

function M.is(value)
  return getmetatable(value) == Failure
end

return M
