#!lua flags=allow-oom
-- KEYS: ready, delayed, flight, messages, receives. ARGV: the most messages, milliseconds of the visibility timeout.
-- Returns id, text and number of deliveries of each message that it takes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First, due delayed messages and deliveries that were not acknowledged in time become ready.
for _, from in ipairs({ KEYS[2], KEYS[3] }) do
  for _, id in ipairs(redis.call('ZRANGE', from, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
    redis.call('LPUSH', KEYS[1], id)
    redis.call('ZREM', from, id)
  end
end
local taken = {}
while #taken < tonumber(ARGV[1]) do
  local id = redis.call('RPOP', KEYS[1])
  if not id then
    break
  end
  local text = redis.call('HGET', KEYS[4], id)
  if text then
    redis.call('ZADD', KEYS[3], now + ARGV[2], id)
    taken[#taken + 1] = { id, text, redis.call('HINCRBY', KEYS[5], id, 1) }
  end
end
return taken
