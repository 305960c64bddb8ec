-- KEYS: job. ARGV: revision, status, body, seconds until it expires.
-- Stores the job, unless a later revision is stored.
local kept = redis.call('HGET', KEYS[1], 'revision')
if kept and tonumber(kept) > tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'status', ARGV[2], 'body', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
