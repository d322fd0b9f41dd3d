-- Bad input: badinput.lua, with mqrig and mqrig-proxy as they are built. None of it hangs, leaks, or takes others down.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"

program.write("badinput.lua", assert(io.open "tests/real/badinput.lua"):read "a")
program.gives("run badinput.lua -j 2", 0, "\n%d+ passed, 0 failed, %d skipped\n$")
program.finish()
