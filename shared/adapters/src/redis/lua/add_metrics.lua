#!lua
-- KEYS: the flush's mark, then one hash for each metric.
-- ARGV: milliseconds that the mark is kept, then place of the hash among KEYS, field and increment of each count.
-- A flush is known by its mark, so that it may be repeated. Gives the number of counts that could not be added.
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
