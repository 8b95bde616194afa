-- One call's budgets: spent all at once, or none of them. See store/valkey_counters.py for the keys and the arguments.
-- Returns what has nothing left, as "number of the budget, from 1", kind, milliseconds to wait (-1: waiting does not help).

local ours, clock, process, lease_ms, spends = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5] == 'take'
local CALLS_MS = 172800000
local PROCESS = 'keyscope:process:'

if redis.call('GET', KEYS[1]) ~= ours then
  return redis.error_reply('OTHERCOUNTERS the counters are not those that were opened')
end

-- Without a time of the caller's own the server's counts: there is one, however many machines ask.
local now = clock
if now == nil then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

local function held(places)
  local sum = 0
  for _, count in ipairs(redis.call('HVALS', places)) do
    sum = sum + tonumber(count)
  end
  return sum
end

-- The places of processes that have not been heard of for longer than their lease.
local function sweep(places)
  for _, name in ipairs(redis.call('HKEYS', places)) do
    if name ~= process and redis.call('EXISTS', PROCESS .. name) == 0 then
      redis.call('HDEL', places, name)
    end
  end
end

local budgets, spent = {}, {}
for i = 1, (#ARGV - 5) / 4 do
  local at, key = 5 + (i - 1) * 4, 1 + (i - 1) * 3
  local counts = KEYS[key + 1]
  local found = redis.call('HMGET', counts, 'used', 'calls', 'latest', 'first')
  local budget = {
    counts = counts, times = KEYS[key + 2], places = KEYS[key + 3],
    uses = tonumber(ARGV[at + 1]), requests = tonumber(ARGV[at + 2]),
    per_ms = tonumber(ARGV[at + 3]), parallel = tonumber(ARGV[at + 4]),
    used = tonumber(found[1] or 0), calls = tonumber(found[2] or 0),
    latest = tonumber(found[3] or 0), first = tonumber(found[4] or 1),
  }
  budgets[i] = budget
  if budget.uses >= 0 and budget.used >= budget.uses then
    spent[#spent + 1] = {i, 'uses', -1}
  end
  if budget.requests >= 0 and budget.calls >= budget.requests then
    -- The call that is so many before the next. If it was forgotten, the oldest that is known stands for it.
    local number = math.max(budget.calls - budget.requests + 1, budget.first)
    local oldest = redis.call('HGET', budget.times, whole(number))
    if oldest and tonumber(oldest) + budget.per_ms > math.max(now, budget.latest) then
      spent[#spent + 1] = {i, 'rate', tonumber(oldest) + budget.per_ms - now}
    end
  end
  if budget.parallel >= 0 and held(budget.places) >= budget.parallel then
    sweep(budget.places)
    if held(budget.places) >= budget.parallel then
      spent[#spent + 1] = {i, 'parallel', -1}
    end
  end
end

if #spent > 0 or not spends then
  return spent
end

for _, budget in ipairs(budgets) do
  if budget.uses >= 0 then
    redis.call('HINCRBY', budget.counts, 'used', 1)
  end
  if budget.requests >= 0 then
    local calls, latest, first = budget.calls + 1, math.max(now, budget.latest), budget.first
    redis.call('HSET', budget.times, whole(calls), whole(latest))
    while first <= calls - budget.requests do
      redis.call('HDEL', budget.times, whole(first))
      first = first + 1
    end
    redis.call('HSET', budget.counts, 'calls', whole(calls), 'latest', whole(latest), 'first', whole(first))
    redis.call('PEXPIRE', budget.times, CALLS_MS)
  end
  if budget.parallel >= 0 then
    redis.call('HINCRBY', budget.places, process, 1)
    redis.call('SET', PROCESS .. process, '', 'PX', lease_ms)
  end
end
return spent
