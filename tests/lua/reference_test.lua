-- The reference is what the stub says, and the stub names what there is: no more, no less.
package.path = "lua/?.lua;lua/?/init.lua;tests/lua/?.lua;docs/?.lua;" .. package.path
require "jumping_core"
local object = require "mqrig.object"
local reference = require "reference"

local page, api = reference.generate()
local file = assert(io.open("docs/reference.md", "rb"))
local kept = file:read "a"
file:close()
assert(kept == page, "docs/reference.md is out of date: lua5.4 docs/reference.lua > docs/reference.md")

-- Every function and field has a sentence or a type, every function a sentence.
for name, class in pairs(api.classes) do
  for _, f in ipairs(class.functions) do
    assert(#f.block.text > 0, ("%s:%s has no description"):format(name, f.name))
  end
end

local function stub_names(...)
  local names = {}
  for _, name in ipairs { ... } do
    for _, f in ipairs(api.classes[name].functions) do
      names[f.name] = true
    end
    for _, field in ipairs(api.classes[name].fields) do
      names[field.name] = true
    end
  end
  return names
end

local function same(what, stub, real)
  local found = {}
  for _, name in ipairs(real) do
    found[name] = true
    assert(stub[name], ("%s has %s, the stub has not"):format(what, name))
  end
  for name in pairs(stub) do
    assert(found[name], ("the stub of %s has %s, which is not there"):format(what, name))
  end
end

local function keys(t)
  local names = {}
  for name in pairs(t) do
    names[#names + 1] = name
  end
  return names
end

local classes = {
  t = require("mqrig.context").meta,
  task = require("mqrig.context").spawned_meta,
  client = require("mqrig.client").meta,
  token = require("mqrig.sending").token_meta,
  raw_client = require("mqrig.rawclient").meta,
  connection = require("mqrig.peer").conn_meta,
  process = require("mqrig.process").meta,
  link = require("mqrig.link").meta,
  place = require("mqrig.rule").place_meta,
  play = require("mqrig.play").meta,
  run = require("mqrig.sweep").run_meta,
  proxied_connection = require("mqrig.proxy").conn_meta,
  proxy = require("mqrig.proxy").meta,
  rule = require("mqrig.rule").handle_meta,
  net = require("mqrig.simnetwork").meta,
  net_link = require("mqrig.simnetwork").link_meta,
  clock = require("mqrig.simnetwork").clock_meta,
  pki = require("mqrig.pki").meta,
}
for name, meta in pairs(classes) do
  same(name, stub_names(name), object.names(meta))
end

same("peer", stub_names "peer", object.names(require("mqrig.peer").meta))
local brokers = { require("mqrig.peer").meta, require("mqrig.mosquitto").meta, require("mqrig.broker").remote_meta }
for name in pairs(stub_names "broker") do
  for _, meta in ipairs(brokers) do
    assert(meta.class.methods[name] or meta.class.public[name], "every broker has " .. name)
  end
end

local sentence = require "mqrig.sentence"
local words = {}
for _, name in ipairs(object.names(require("mqrig.rule").builder_meta)) do
  words[#words + 1] = not sentence.absent[name] and name or nil
end
same("rule_sentence", stub_names "rule_sentence", words)

same("expectation", stub_names "expectation", keys(require("mqrig.expect").verbs))
same("fault", stub_names "fault", {
  "raw", "fixed", "normal", "uniform", "exponential", "pareto", "is_distribution", "any",
})
for name in pairs(stub_names "fault") do
  assert(require("mqrig.fault")[name])
end
same("mqtt_client", stub_names "mqtt_client", keys(require("mqrig.mqttproxy").methods))
