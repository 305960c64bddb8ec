#!lua flags=no-writes
-- KEYS: ready, delayed, flight, messages, receives.
-- How many messages wait, delayed ones and those that come again included.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('ZCOUNT', KEYS[3], '-inf', now)
