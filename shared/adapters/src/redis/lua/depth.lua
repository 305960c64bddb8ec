#!lua flags=no-writes
-- KEYS: ready, delayed, flight, messages, receives.
-- The number of waiting messages, with delayed ones and those due for redelivery.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('ZCOUNT', KEYS[3], '-inf', now)
