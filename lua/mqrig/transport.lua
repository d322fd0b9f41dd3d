-- transport: what the brokers of a scenario are reached by: TCP, a Unix socket, TLS, WebSocket, WebSocket in TLS.
--
-- Whoever states a URL has said it. Else it is the option `transport`, or TLS where there are options for it, or what
-- the command line says (--transport). Over TLS without options a PKI of the scenario's own is made, and every client
-- that says nothing of TLS trusts it, too.

local blame = require "mqrig.blame"
local core = require "mqrig.core"
local near = require "mqrig.near"
local show = require "mqrig.show"

local M = {}

M.names = { "tcp", "unix", "tls", "ws", "wss" }

local urls = {
  tcp = "tcp://127.0.0.1:0", -- port 0: a free one
  tls = "ssl://127.0.0.1:0",
  ws = "ws://127.0.0.1:0",
  wss = "wss://127.0.0.1:0",
}
local encrypted = { tls = true, wss = true }

-- A path of its own for each Unix socket.
local function unix_url(scenario)
  local directory = core.temporary_directory()
  scenario:own {
    close = function()
      core.remove_tree(directory)
    end,
  }
  return "unix://" .. directory .. "/socket"
end

--- The PKI that a scenario uses without having asked for one.
function M.pki(scenario)
  local pki = scenario.own_pki
  if not pki then
    pki = require("mqrig.pki").new(scenario)
    rawset(scenario, "own_pki", pki)
    core.trust(pki.ca)
    scenario:own {
      close = function()
        core.trust(nil)
      end,
    }
  end
  return pki
end

local function chosen(scenario, options, what)
  local transport = options.transport
  if transport ~= nil and not (urls[transport] or transport == "unix") then
    blame.raise(("%s: transport is one of %s, not %s%s"):format(what, table.concat(M.names, ", "),
      show.value(transport), type(transport) == "string" and near.suggest(transport, M.names) or ""))
  end
  local run = scenario.transport
  if transport then
    return transport
  elseif options.ws ~= nil then
    return (options.tls ~= nil or run == "wss") and "wss" or "ws"
  elseif options.tls ~= nil then
    return encrypted[run] and run or "tls"
  end
  return run
end

--- Where a broker is to listen: its URL and its TLS options.
function M.listen(scenario, options, what)
  if options.url ~= nil then
    if options.transport ~= nil then
      blame.raise(what .. ": url says what the transport is, so there is nothing for transport to say")
    end
    return options.url, options.tls
  end
  local transport = chosen(scenario, options, what)
  local url = urls[transport] or unix_url(scenario)
  if options.tls ~= nil or not encrypted[transport] then
    return url, options.tls
  end
  return url, M.pki(scenario).server
end

return M
