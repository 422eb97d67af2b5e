-- Cache a result with its time.
-- KEYS: 1 the result  ARGV: 1 its value, 2 time to live (ms)
local clock = redis.call('TIME')
redis.call('SET', KEYS[1], clock[1] .. '.' .. string.format('%06d', clock[2]) .. ' ' .. ARGV[1], 'PX', ARGV[2])
