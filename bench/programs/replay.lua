-- wrk: requests of a file in turn, byte for byte, and a look into each answer. Arguments: the file, in which the length
-- of each request stands on a line before it; the status of a yes; a Lua pattern that its body has, or nothing.
local requests = {}
local at = 0
local threads = {}
refused = 0

function setup(thread)
  threads[#threads + 1] = thread
end

function init(arguments)
  local file = io.open(arguments[1], "rb")
  local length = file:read("*n")
  while length do
    file:read(1)
    requests[#requests + 1] = file:read(length)
    length = file:read("*n")
  end
  status_of_yes = tonumber(arguments[2])
  body_of_yes = arguments[3]
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status, headers, body)
  if status ~= status_of_yes or (body_of_yes and not body:find(body_of_yes)) then
    refused = refused + 1
  end
end

function done()
  local all = 0
  for _, thread in ipairs(threads) do
    all = all + thread:get("refused")
  end
  print("refused: " .. all)
end
