-- Writes the certificates for the broker of the measurements over TLS.
local rig = require "mqrig"
local scenario = rig.scenario

scenario("certificates", { params = { out = "" } }, function(t)
  local pki = t:pki()
  for name, text in pairs { ca = pki.ca, cert = pki.server.cert, key = pki.server.key } do
    local file <close> = assert(io.open(("%s/%s.pem"):format(t.params.out, name), "w"))
    file:write(text)
  end
end)
