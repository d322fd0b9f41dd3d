-- random: numbers from a seed and a name, the same on every machine. SplitMix64.

local M = {}

local Random = {}
Random.__index = Random

-- FNV-1a.
local function hash(text, basis)
  local h = basis
  for i = 1, #text do
    h = (h ~ text:byte(i)) * 0x100000001b3
  end
  return h
end

--- `seed`: an integer or nil; `name`: what tells two users of one seed apart.
function M.new(seed, name)
  return setmetatable({ state = hash(name or "", -3750763034362895579) ~ ((seed or 0) * -7046029254386353131) }, Random)
end

--- 64 bits.
function Random:bits()
  self.state = self.state - 7046029254386353131
  local z = self.state
  z = (z ~ (z >> 30)) * -4658895280553007687
  z = (z ~ (z >> 27)) * -7723592293110705685
  return z ~ (z >> 31)
end

--- From 0 up to, not including, 1.
function Random:float()
  return (self:bits() >> 11) * 2.0 ^ -53
end

--- From low to high, both included.
function Random:integer(low, high)
  assert(low <= high, "there is no number in an empty range")
  local range = high - low + 1
  if range <= 0 then -- more than 63 bits wide
    local n
    repeat
      n = self:bits()
    until n >= low and n <= high
    return n
  end
  return low + (self:bits() >> 1) % range
end

--- A word of that many letters and digits.
function Random:word(length)
  local letters = "0123456789abcdefghijklmnopqrstuvwxyz"
  local word = {}
  for i = 1, length do
    local n = self:integer(1, #letters)
    word[i] = letters:sub(n, n)
  end
  return table.concat(word)
end

return M
