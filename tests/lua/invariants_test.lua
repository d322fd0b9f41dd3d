-- docs/invariants.md has the invariants that are checked, in their words.
local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local source, page = read "harness/host/invariant.c", read "docs/invariants.md"
local rows = {}
for id, sentence in source:gmatch '{ "(inv%-%d+ %w+)",%s*"([^"]+)" }' do
  rows[#rows + 1] = ("| %s | %s |\n"):format(id, sentence)
  assert(id:match("%d+") == ("%02d"):format(#rows), id)
end
assert(#rows == 36)
assert(page:sub(-#table.concat(rows)) == table.concat(rows), "the table of docs/invariants.md is not that of invariant.c")
