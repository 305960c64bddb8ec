#!lua flags=allow-oom
-- KEYS: lock. ARGV: owner. After an expiry the lock may have another owner.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
