#!lua
-- KEYS: the key of the flush, then one hash for each metric.
-- ARGV: milliseconds to keep the flush's key, then for each count the index of its hash in KEYS, its field and its increment.
-- The flush's key makes a retry a no-op. Returns the number of counts that could not be added.
if not redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then
  return 0
end
local failed = 0
for i = 2, #ARGV, 3 do
  local added = redis.pcall('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
  if type(added) == 'table' then
    failed = failed + 1
  end
end
return failed
