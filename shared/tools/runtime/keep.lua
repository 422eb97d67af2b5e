-- Keep a result with the moment it is from.
-- KEYS: 1 where  ARGV: 1 the result, 2 how long (ms)
local clock = redis.call('TIME')
redis.call('SET', KEYS[1], clock[1] .. '.' .. string.format('%06d', clock[2]) .. ' ' .. ARGV[1], 'PX', ARGV[2])
