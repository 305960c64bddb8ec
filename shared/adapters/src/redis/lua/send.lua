-- KEYS: ready, delayed, flight, messages, receives. ARGV: id, text and milliseconds of delay of each message.
-- A message that exists is not changed, so that a send may be repeated.
for i = 1, #ARGV, 3 do
  local id, text, delay = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  if redis.call('HSETNX', KEYS[4], id, text) == 1 then
    if delay > 0 then
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      redis.call('ZADD', KEYS[2], now + delay, id)
    else
      redis.call('LPUSH', KEYS[1], id)
    end
  end
end
return redis.status_reply('OK')
