require("mqrig").scenario("first", function(t) t:connect():publish("bench/first", "hello") end)
