-- How many places a process holds, as it knows itself: KEYS of counters id and then places, ARGV[4] on their numbers.
-- Also says that the process is still there.

local ours, process, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

if redis.call('GET', KEYS[1]) ~= ours then
  return redis.error_reply('OTHERCOUNTERS the counters are not those that were opened')
end

redis.call('SET', 'keyscope:process:' .. process, '', 'PX', lease_ms)
for i = 2, #KEYS do
  local held = tonumber(ARGV[i + 2])
  if held > 0 then
    redis.call('HSET', KEYS[i], process, held)
  else
    redis.call('HDEL', KEYS[i], process)
  end
end
