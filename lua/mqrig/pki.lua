-- pki: certificates to throw away: a CA, good servers and clients of it, and faulty ones, made when they are asked for.

local core = require "mqrig.core"
local blame = require "mqrig.blame"
local failure = require "mqrig.failure"
local near = require "mqrig.near"
local object = require "mqrig.object"
local paths = require "mqrig.paths"
local show = require "mqrig.show"

local M = {}

local known = blame.set "hosts"
local roles = { server = true, client = true }

-- Raises for what is no kind of certificate.
local function check_kind(kind)
  local kinds = core.pki_kinds()
  for _, name in ipairs(kinds) do
    if name == kind then
      return kind
    end
  end
  local hint = type(kind) == "string" and near.suggest(kind, kinds)
  blame.raise(("there is no kind of certificate %s, %s"):format(show.value(kind),
    hint or "there are " .. table.concat(kinds, ", ")))
end

local Pki = {}
local computed = {}

-- One table for each certificate: what TLS is set up with is remembered by the table.
local function pair(self, role, kind)
  local key = role .. " " .. kind
  local made = self.pairs[key]
  if not made then
    local certificate, secret = self.pki:pair(role, kind)
    made = { cert = certificate, key = secret }
    self.pairs[key] = made
  end
  return made
end

--- A certificate with something wrong about it, and its key: pki:faulty("expired"), pki:faulty("revoked", "client").
function Pki:faulty(kind, role)
  role = role or "server"
  if not roles[role] then
    blame.raise(('a certificate is of a "server" or a "client", not %s'):format(show.value(role)))
  end
  return pair(self, role, check_kind(kind))
end

--- The path of a file that holds this text, for programs that want files: pki:file(pki.ca). It is gone with the
--- scenario.
function Pki:file(text)
  if type(text) ~= "string" then
    blame.raise(("pki:file takes a text, as in pki:file(pki.ca), not %s"):format(show.value(text)))
  end
  local path = self.files[text]
  if not path then
    self.directory = rawget(self, "directory") or core.temporary_directory()
    self.file_count = self.file_count + 1
    path = ("%s/%d.pem"):format(self.directory, self.file_count)
    local written, why = paths.write(path, text)
    if not written then
      failure.raise { message = "a file with a certificate cannot be written: " .. why, environment = true }
    end
    self.files[text] = path
  end
  return path
end

function Pki:close()
  self.pki:close()
  if rawget(self, "directory") then
    core.remove_tree(self.directory)
    self.directory = nil
  end
end

function computed:ca()
  return self.pki:ca()
end

function computed:crl()
  return self.pki:crl()
end

function computed:server()
  return pair(self, "server", "good")
end

function computed:client()
  return pair(self, "client", "good")
end

--- The TLS options with a certificate of that kind in place of the one that they have, from the same PKI.
function M.replaced(scenario, tls, kind)
  for _, pki in ipairs(scenario.pkis) do
    for _, own in next, pki.pairs do
      if own.cert == tls.cert then
        local other = {}
        for name, value in next, tls do
          other[name] = value
        end
        other.cert, other.key = pki:faulty(kind).cert, pki:faulty(kind).key
        return other
      end
    end
  end
  failure.raise { message = ('the rule cert "%s" needs a peer whose certificate is of t:pki()'):format(kind) }
end

M.meta = object.class("pki", Pki, computed, "", "pki pairs files file_count directory")
M.meta.__close = Pki.close

function M.new(scenario, options)
  options = blame.options(options, known, "t:pki")
  local self = setmetatable({
    pki = blame.call(core.pki, options.hosts),
    pairs = {},
    files = {},
    file_count = 0,
  }, M.meta)
  scenario.pkis[#scenario.pkis + 1] = self
  scenario:own(self)
  return self
end

return M
