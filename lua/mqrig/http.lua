-- http: a request to a server, and its answer. HTTP/1.0 of RFC 1945, over a raw client: the end of the connection is the
-- end of the answer.

local core = require "mqrig.core"

local M = {}

M.ANSWER_MAX = 64 << 20

local Exchange = {}
Exchange.__index = Exchange

function Exchange:finish(problem)
  self.over, self.problem = true, self.problem or problem
end

function Exchange:take()
  local piece = self.raw:take()
  self.size = self.size + #piece
  self.pieces[#self.pieces + 1] = piece
  if self.size > M.ANSWER_MAX then
    self:finish(("the answer is larger than %d MiB"):format(M.ANSWER_MAX >> 20))
  end
end

local function start(url, bytes, timeout_ns)
  local self = setmetatable({ pieces = {}, size = 0 }, Exchange)
  local ok, raw = pcall(core.rawclient, url, timeout_ns, {
    opened = function()
      self.opened = true
    end,
    input = function()
      self:take()
    end,
    ended = function(how, why)
      self:finish(how ~= "fin" and (why or how) or nil)
    end,
  })
  if not ok then
    return nil, tostring(raw):gsub("^[^ ]+:%d+: ", "")
  end
  self.raw = raw
  raw:send(bytes)
  return self
end

local function format(host, method, path, body)
  local length = body and ("Content-Type: application/json\r\nContent-Length: %d\r\n"):format(#body) or ""
  return ("%s %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: mqrig/%s\r\n%s\r\n%s"):format(method, path, host, core.version,
    length, body or "")
end

--- Asks `url` (tcp://host:port) in the world that is open: status, body. Nil, a sentence where there is no answer, and
--- whether anybody listens there.
function M.request(url, method, path, body, timeout_s)
  local timeout_ns = math.floor(timeout_s * 1e9)
  local deadline_ns = core.now() + timeout_ns
  local self, problem = start(url, format(url:match "//(.*)", method, path, body), timeout_ns)
  if not self then
    return nil, problem, false
  end
  while not self.over and core.now() < deadline_ns do
    core.turn(deadline_ns)
  end
  self.raw:close()
  local answer = table.concat(self.pieces)
  local status, at = answer:match "^HTTP/1%.%d (%d%d%d)[^\n]*\n.-\r?\n\r?\n()"
  if status and not self.problem then
    return tonumber(status), answer:sub(at)
  elseif not self.over then
    return nil, ("no answer within %g s"):format(timeout_s), self.opened
  end
  return nil, self.problem or "what answers there does not speak HTTP", self.opened
end

return M
