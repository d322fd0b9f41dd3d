-- Lua 5.4; the library has no globals.
std = "lua54"
max_line_length = 120
include_files = { "**/*.lua" }
exclude_files = { "**/*.d.lua", "build", "docs", "tests/golden/broken.lua" }
self = false
