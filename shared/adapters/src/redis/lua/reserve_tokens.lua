-- KEYS: window, asked, held. ARGV: id, workspace, tokens, limit, milliseconds of a bucket, number of buckets that count
-- besides the current one. In the window, `r:ID` is BUCKET:TOKENS:WORKSPACE of an unsettled reservation, and
-- `u:BUCKET:WORKSPACE` a workspace's tokens in a bucket: one key, so that both are lost together.
-- Returns 0 granted, 1 exhausted or 2 held; milliseconds to wait; tokens left; the time; whether the window existed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id, workspace, tokens, limit = 'r:' .. ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local length, buckets = tonumber(ARGV[5]), tonumber(ARGV[6])
local current, span = math.floor(now / length), length * (buckets + 1)
local known = redis.call('EXISTS', KEYS[1])
-- A repetition, after a lost answer.
if redis.call('HEXISTS', KEYS[1], id) == 1 then
  return { 0, 0, 0, now, known }
end
local held = redis.call('PTTL', KEYS[3])
if held > 0 then
  return { 2, held, 0, now, known }
end
redis.call('ZADD', KEYS[2], now + span, workspace)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('PEXPIRE', KEYS[2], span * 2)
local share = math.floor(limit / redis.call('ZCARD', KEYS[2]))
local total, own, uses = 0, 0, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local bucket, whose = string.match(fields[i], '^u:(%d+):(.*)$')
  local at = tonumber(bucket or string.match(fields[i + 1], '^%d+'))
  -- A clock that was set back leaves buckets in the future. They count for at most a window.
  if math.abs(at - current) > buckets then
    redis.call('HDEL', KEYS[1], fields[i])
  elseif bucket then
    local use = { at = at, all = tonumber(fields[i + 1]), own = 0 }
    if whose == workspace then
      use.own = use.all
    end
    total, own = total + use.all, own + use.own
    uses[#uses + 1] = use
  end
end
local function fits()
  return total + tokens <= limit and (own == 0 or own + tokens <= share)
end
if fits() then
  redis.call('HINCRBY', KEYS[1], 'u:' .. current .. ':' .. workspace, tokens)
  redis.call('HSET', KEYS[1], id, current .. ':' .. tokens .. ':' .. workspace)
  redis.call('PEXPIRE', KEYS[1], span + length)
  return { 0, 0, 0, now, known }
end
local left = math.max(0, math.min(limit - total, share - own))
local free = now + span
table.sort(uses, function(a, b) return a.at < b.at end)
for _, use in ipairs(uses) do
  total, own = total - use.all, own - use.own
  if fits() then
    free = (use.at + buckets + 1) * length
    break
  end
end
-- The workspace must still count when it tries again.
redis.call('ZADD', KEYS[2], free + span, workspace)
return { 1, free - now, left, now, known }
