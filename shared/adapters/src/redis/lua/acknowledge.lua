#!lua flags=allow-oom
-- KEYS: ready, delayed, flight, messages, receives. ARGV: id, number of deliveries.
-- A late acknowledgement counts until the message is redelivered, which changes its count.
if redis.call('HGET', KEYS[5], ARGV[1]) ~= ARGV[2] then
  return 0
end
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 then
  redis.call('LREM', KEYS[1], 1, ARGV[1])
end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
return 1
