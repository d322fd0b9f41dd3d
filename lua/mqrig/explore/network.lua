-- network: the faults of a case that only a virtual network can do, between a client and the broker.

local fault = require "mqrig.fault"
local simnetwork = require "mqrig.simnetwork"
local units = require "mqrig.units"

local M = {}

local net = simnetwork.net

-- "uniform(5ms,40ms)", "fixed(10ms)": what draws and people write.
local function distribution(text)
  local low, high = text:match "^uniform%((%d+)ms,%s*(%d+)ms%)$"
  if low then
    return fault.uniform(tonumber(low) / 1000, tonumber(high) / 1000)
  end
  local one = text:match "^fixed%((%d+)ms%)$" or text:match "^(%d+)ms$"
  if not one then
    error(('"%s" is no latency: uniform(5ms,40ms) or 10ms is'):format(text), 0)
  end
  return tonumber(one) / 1000
end

local function ratio(text)
  local part, of = text:match "^(%d+)/(%d+)$"
  if not part or tonumber(of) == 0 or tonumber(part) > tonumber(of) then
    error(('"%s" is no part of what is sent: 1/20 is'):format(text), 0)
  end
  return tonumber(part) / tonumber(of)
end

local standing = {
  latency = function(text, client, broker)
    net:latency(distribution(text), client, broker)
  end,
  loss = function(text, client, broker)
    net:loss(ratio(text), client, broker)
  end,
  rate = function(text, client, broker)
    net:rate(text, client, broker)
  end,
}

local lasting = {
  partition = function(client, broker)
    net:partition(client, broker)
  end,
  oneway_up = function(client, broker)
    net:oneway(client, broker)
  end,
  oneway_down = function(client, broker)
    net:oneway(broker, client)
  end,
}

--- A fault of the whole run.
function M.stand(fault_, client, broker)
  standing[fault_.verb](fault_.text, client, broker)
end

function M.begin(verb, client, broker)
  lasting[verb](client, broker)
end

--- Ends what `begin` did.
function M.finish(client, broker)
  net:heal(client, broker)
end

function M.is_standing(verb)
  return standing[verb] ~= nil
end

--- Whether only a virtual network can do it.
function M.is_virtual(verb)
  return standing[verb] ~= nil or lasting[verb] ~= nil
end

--- Raises a sentence if the text of a fault of the whole run is none.
function M.check(verb, text)
  if verb == "latency" then
    distribution(text)
  elseif verb == "loss" then
    ratio(text)
  else
    local bytes, sentence = units.parse_size(text)
    if not bytes then
      error(sentence, 0)
    end
  end
end

--- Everything between them is as a network without faults.
function M.heal(client, broker)
  net:heal(client, broker)
  net:latency(0.0001, client, broker)
end

return M
