-- environment: is there what a run needs? Asked before anything runs, so that the answer is one sentence and not a
-- hundred failures. And is it what a scenario needs?

local core = require "mqrig.core"
local show = require "mqrig.show"

local M = {}

M.CONNECT_TIME_S = 5
M.DESCRIPTORS_MIN = 24 -- for the loop, one worker with its pipes, and a report
M.NO_MOSQUITTO = "mosquitto is not installed: install it (Debian, Ubuntu: apt install mosquitto)"

-- Servers are often installed where a user's PATH does not lead.
local MORE_FOLDERS = { "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/sbin" }

--- The path of a program, or nil.
function M.find_program(name)
  local folders = {}
  for folder in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    folders[#folders + 1] = folder
  end
  table.move(MORE_FOLDERS, 1, #MORE_FOLDERS, #folders + 1, folders)
  for _, folder in ipairs(folders) do
    local path = folder .. "/" .. name
    local file = io.open(path, "rb")
    if file then
      file:close()
      return path
    end
  end
end

--- Opens the world. Nil, or the sentence that says why it cannot be.
function M.open()
  local left = core.descriptors_left()
  if left < M.DESCRIPTORS_MIN then
    return ("too few files may be open at once: %d more, and %d are the least: raise the limit with ulimit -n"):format(
      left, M.DESCRIPTORS_MIN)
  end
  local ok, sentence = pcall(core.open)
  if not ok then
    return (tostring(sentence):gsub("^[^ ]+:%d+: ", ""))
  end
end

local function check_mosquitto()
  if not M.find_program "mosquitto" then
    return M.NO_MOSQUITTO .. ", or run without --broker mosquitto"
  end
end

-- Whether somebody listens there.
local function check_url(url)
  local answer
  local ok, raw = pcall(core.rawclient, url, math.floor(M.CONNECT_TIME_S * 1e9), {
    opened = function()
      answer = answer or "open"
    end,
    input = function() end,
    ended = function(how, why)
      answer = answer or why or how
    end,
  })
  if not ok then
    return ("the broker %s cannot be used: %s"):format(url, tostring(raw):gsub("^[^ ]+:%d+: ", ""))
  end
  local deadline = core.now() + math.floor((M.CONNECT_TIME_S + 1) * 1e9)
  while not answer and core.now() < deadline do
    core.turn(deadline)
  end
  raw:close()
  if answer ~= "open" then
    return ("the broker %s cannot be reached: %s. Is it running, and is this its address?"):format(show.url(url),
      answer or "no answer")
  end
end

local usual = { net = "real", broker = "builtin", transport = "tcp" }

--- Nil, or why a scenario is not for a run with these settings.
function M.lacks(scenario, settings)
  for _, name in ipairs { "net", "broker", "transport" } do
    local wanted = scenario[name]
    if wanted and wanted ~= (settings[name] or usual[name]) then
      return ("needs --%s %s"):format(name, wanted)
    end
  end
end

--- Nil, or the sentence that says what is missing and what to do about it.
function M.check(settings)
  if settings.broker == "mosquitto" then
    return check_mosquitto()
  elseif settings.broker ~= "builtin" then
    return check_url(settings.broker)
  end
end

return M
