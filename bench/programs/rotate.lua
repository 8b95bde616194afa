-- wrk: the same GET with a different key each time. Arguments: path, file of keys, further headers as "name: value".
local requests = {}
local at = 0

function init(arguments)
  local path = arguments[1]
  for key in io.lines(arguments[2]) do
    local headers = { ["Authorization"] = "Bearer " .. key }
    for number = 3, #arguments do
      local name, value = arguments[number]:match("^([^:]+): (.*)$")
      headers[name] = value
    end
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
