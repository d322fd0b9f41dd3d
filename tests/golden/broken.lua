local rig = require "mqrig"

rig.scenario("broken", function(t)
  t:connect(
end)
