#!lua flags=allow-oom
-- KEYS: lock. ARGV: owner. One that has ended may be another's by now.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
