#!lua flags=allow-oom
-- KEYS: window. ARGV: id, used tokens. It removes the reservation, so a repetition changes nothing.
local reserved = redis.call('HGET', KEYS[1], 'r:' .. ARGV[1])
if not reserved then
  return 0
end
local bucket, tokens, workspace = string.match(reserved, '^(%d+):(%d+):(.*)$')
redis.call('HDEL', KEYS[1], 'r:' .. ARGV[1])
redis.call('HINCRBY', KEYS[1], 'u:' .. bucket .. ':' .. workspace, ARGV[2] - tokens)
return 1
