#!lua flags=no-writes
-- KEYS: hashes. Gives for each its fields and values as one text, a line each, which costs the reader less than
-- thousands of answers.
local texts = {}
for i, key in ipairs(KEYS) do
  texts[i] = table.concat(redis.call('HGETALL', key), '\n')
end
return texts
