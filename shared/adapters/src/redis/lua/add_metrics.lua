#!lua
-- KEYS: the number of the instance's last batch, then one hash for each metric.
-- ARGV: milliseconds to keep the number, the batch's number, then for each count the index of its hash in KEYS, its field
-- and its increment.
-- A batch that was added before is not added again. Returns the number of counts that could not be added.
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
local failed = 0
for i = 3, #ARGV, 3 do
  local added = redis.pcall('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
  if type(added) == 'table' then
    failed = failed + 1
  end
end
return failed
