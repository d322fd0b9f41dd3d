-- deadlines: a heap of things that are due at a time, each at most once. An item carries `due_ns` and `heap_index`.
-- Of two with the same time, the one that came first is first.

local M = {}
local Deadlines = {}
Deadlines.__index = Deadlines

function M.new()
  return setmetatable({ size = 0, sequence = 0 }, Deadlines)
end

local function before(a, b)
  return a.due_ns < b.due_ns or (a.due_ns == b.due_ns and a.due_order < b.due_order)
end

local function put(heap, index, item)
  heap[index] = item
  item.heap_index = index
end

local function rise(heap, index, item)
  while index > 1 do
    local parent = heap[index // 2]
    if not before(item, parent) then
      break
    end
    put(heap, index, parent)
    index = index // 2
  end
  put(heap, index, item)
end

local function sink(heap, index, item)
  local size = heap.size
  while true do
    local child = index * 2
    if child > size then
      break
    end
    if child < size and before(heap[child + 1], heap[child]) then
      child = child + 1
    end
    if not before(heap[child], item) then
      break
    end
    put(heap, index, heap[child])
    index = child
  end
  put(heap, index, item)
end

function Deadlines:add(item, due_ns)
  assert(not item.heap_index)
  self.size, self.sequence = self.size + 1, self.sequence + 1
  item.due_ns, item.due_order = due_ns, self.sequence
  rise(self, self.size, item)
end

--- Takes it out; nothing happens if it is not in.
function Deadlines:remove(item)
  local index = item.heap_index
  if not index then
    return
  end
  local last = self[self.size]
  self[self.size] = nil
  self.size = self.size - 1
  item.heap_index = nil
  if last ~= item then
    if index > 1 and before(last, self[index // 2]) then
      rise(self, index, last)
    else
      sink(self, index, last)
    end
  end
end

--- The item that is due first, or nil.
function Deadlines:first()
  return self[1]
end

return M
