#!lua flags=no-writes
-- KEYS: hashes. Returns each hash as one text of alternating lines of fields and values: one string is cheaper to read
-- than thousands of replies.
local texts = {}
for i, key in ipairs(KEYS) do
  texts[i] = table.concat(redis.call('HGETALL', key), '\n')
end
return texts
