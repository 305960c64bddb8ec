-- KEYS: the counts of an API key and of its workspace, and what exists if the key was revoked. ARGV: milliseconds of the
-- window, both limits.
-- Sliding window: requests of the window before count by the fraction of it that is still inside. A refused request is
-- not counted. Returns which limit refused it (0 if neither, 3 if the key was revoked), and the milliseconds to wait. A
-- repetition counts twice, which is harmless.
if redis.call('EXISTS', KEYS[3]) == 1 then
  return { 3, 0 }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = tonumber(ARGV[1])
local current = math.floor(now / window)
local elapsed = now - current * window
local counts, refused, wait = {}, 0, 0
for i = 1, 2 do
  local key = KEYS[i]
  local limit = tonumber(ARGV[i + 1])
  local kept = redis.call('HMGET', key, 'window', 'count', 'before')
  local at, count, before = tonumber(kept[1] or current), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
  if at ~= current then
    before = at == current - 1 and count or 0
    count = 0
  end
  counts[i] = { count, before }
  if before * (window - elapsed) / window + count + 1 > limit then
    local free
    if count < limit then
      free = window - window * (limit - count - 1) / before - elapsed
    else
      free = window - elapsed + math.max(0, window - window * (limit - 1) / count)
    end
    if free > wait then
      refused, wait = i, free
    end
  end
end
if refused > 0 then
  return { refused, math.max(1, math.ceil(wait)) }
end
for i, count in ipairs(counts) do
  redis.call('HSET', KEYS[i], 'window', current, 'count', count[1] + 1, 'before', count[2])
  redis.call('PEXPIRE', KEYS[i], window * 2)
end
return { 0, 0 }
