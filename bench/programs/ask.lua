-- wrk: POSTs, one body after another. Arguments: path, file of bodies, content type, further headers as "name: value".
local requests = {}
local at = 0

function init(arguments)
  local path = arguments[1]
  local headers = { ["Content-Type"] = arguments[3] }
  for number = 4, #arguments do
    local name, value = arguments[number]:match("^([^:]+): (.*)$")
    headers[name] = value
  end
  for body in io.lines(arguments[2]) do
    requests[#requests + 1] = wrk.format("POST", path, headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
