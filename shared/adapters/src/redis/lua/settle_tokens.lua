#!lua flags=allow-oom
-- KEYS: window. ARGV: id, tokens that were used. What it takes away it finds once.
local reserved = redis.call('HGET', KEYS[1], 'r:' .. ARGV[1])
if not reserved then
  return 0
end
local bucket, tokens, workspace = string.match(reserved, '^(%d+):(%d+):(.*)$')
redis.call('HDEL', KEYS[1], 'r:' .. ARGV[1])
redis.call('HINCRBY', KEYS[1], 'u:' .. bucket .. ':' .. workspace, ARGV[2] - tokens)
return 1
