-- shrink: a smaller case that fails in the same way. Takes things out, halves first, then one by one; then makes what is
-- left simpler and earlier. Every candidate is run; what still fails is kept.
--
-- `M.run(case, fails)` calls fails(candidate), which may yield; so who drives it decides where candidates run.

local M = {}

M.RUNS_MAX = 600 -- candidates

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local result = {}
  for key, item in next, value do
    result[key] = copy(item)
  end
  return result
end

local function without(list, from, count)
  local result = {}
  for i, item in ipairs(list) do
    if i < from or i >= from + count then
      result[#result + 1] = item
    end
  end
  return result
end

local Shrink = {}
Shrink.__index = Shrink

-- Keeps the candidate if it fails in the same way.
function Shrink:try(candidate)
  if self.runs >= M.RUNS_MAX then
    return false
  end
  self.runs = self.runs + 1
  if not self.fails(candidate) then
    return false
  end
  self.case = candidate
  return true
end

function Shrink:try_list(name, list)
  local candidate = copy(self.case)
  candidate[name] = copy(list)
  return self:try(candidate)
end

-- Takes out pieces of a list: halves, quarters, down to single ones.
function Shrink:thin(name)
  local size = #self.case[name]
  while size >= 1 do
    local from = 1
    while from <= #self.case[name] do
      if not self:try_list(name, without(self.case[name], from, size)) then
        from = from + size
      end
    end
    size = size // 2
  end
end

-- A client goes with all that it does.
function Shrink:drop_clients()
  for i = #self.case.clients, 1, -1 do
    local name = self.case.clients[i].name
    local candidate = copy(self.case)
    table.remove(candidate.clients, i)
    for _, list in ipairs { "steps", "faults" } do
      for at = #candidate[list], 1, -1 do
        if candidate[list][at].who == name then
          table.remove(candidate[list], at)
        end
      end
    end
    self:try(candidate)
  end
end

-- Options of clients, and of the broker, that are not needed, one by one.
function Shrink:simplify_clients()
  if self.case.broker then
    local candidate = copy(self.case)
    candidate.broker = nil
    self:try(candidate)
  end
  for i, client in ipairs(self.case.clients) do
    for _, key in ipairs { "will", "willretain", "maxinflight", "maxbuffered", "kept" } do
      if client[key] then
        local candidate = copy(self.case)
        candidate.clients[i][key] = nil
        self:try(candidate)
      end
    end
    for at = #self.case.clients[i].subscribe, 1, -1 do
      local candidate = copy(self.case)
      table.remove(candidate.clients[i].subscribe, at)
      self:try(candidate)
    end
  end
end

-- Smaller messages, without what they need not have.
function Shrink:simplify_steps()
  for i = 1, #self.case.steps do
    for key, value in next, { size = 1, retain = false, qos = 0 } do
      local now = self.case.steps[i][key]
      if now and now ~= value then
        local candidate = copy(self.case)
        candidate.steps[i][key] = value or nil
        self:try(candidate)
      end
    end
  end
end

-- All times at once, then each of its own, divided.
function Shrink:hurry()
  local candidate, earlier = copy(self.case), false
  for _, list in ipairs { candidate.steps, candidate.faults } do
    for _, item in ipairs(list) do
      earlier = earlier or (item.to or item.at or 0) > 0
      item.at = item.at and item.at // 10
      item.to = item.to and item.to // 10
    end
  end
  return earlier and self:try(candidate)
end

-- Faults of the whole run in their plainest form.
local plainer = {
  latency = "fixed(10ms)",
}

function Shrink:simplify_faults()
  for i = 1, #self.case.faults do
    local fault = self.case.faults[i]
    local text = plainer[fault.verb]
      or fault.verb == "rule" and fault.text:gsub("at_byte %d+ ", ""):gsub("after_packet ", ""):gsub("before ", "")
    if text and text ~= fault.text then
      local candidate = copy(self.case)
      candidate.faults[i].text = text
      self:try(candidate)
    end
  end
end

local function size_of(case)
  return #case.clients + #case.steps + #case.faults
end

--- The smallest case found, and how many runs that took.
function M.run(case, fails)
  local self = setmetatable({ case = case, fails = fails, runs = 0 }, Shrink)
  local before
  repeat
    before = size_of(self.case)
    self:drop_clients()
    self:thin "faults"
    self:thin "steps"
  until size_of(self.case) == before or self.runs >= M.RUNS_MAX
  self:simplify_clients()
  self:simplify_faults()
  self:simplify_steps()
  while self:hurry() do end
  return self.case, self.runs
end

return M
