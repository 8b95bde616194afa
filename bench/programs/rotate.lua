-- wrk: GETs with keys and paths in turn. Arguments: path, in which {n} counts; file of keys; number of paths;
-- further headers as "name: value".
local requests = {}
local at = 0

function init(arguments)
  local keys = {}
  for key in io.lines(arguments[2]) do
    keys[#keys + 1] = key
  end
  local paths = tonumber(arguments[3])
  for turn = 1, math.max(#keys, paths) do
    local headers = { ["Authorization"] = "Bearer " .. keys[(turn - 1) % #keys + 1] }
    for number = 4, #arguments do
      local name, value = arguments[number]:match("^([^:]+): (.*)$")
      headers[name] = value
    end
    local path = arguments[1]:gsub("{n}", string.format("%06d", (turn - 1) % paths))
    requests[turn] = wrk.format("GET", path, headers)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
