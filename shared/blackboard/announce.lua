-- Register an agent and the report of one replica, with the time of Redis's clock, because clocks of hosts differ.
-- KEYS: 1 cards, 2 times of agents, 3 reports, 4 times of replicas
-- ARGV: 1 the agent, 2 its card, 3 the replica or empty, 4 its report, 5 seconds after which a silent replica is gone
local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  redis.call('ZADD', KEYS[4], now, ARGV[3])
end
for _, gone in ipairs(redis.call('ZRANGE', KEYS[4], '-inf', now - ARGV[5], 'BYSCORE')) do
  redis.call('HDEL', KEYS[3], gone)
  redis.call('ZREM', KEYS[4], gone)
end
return 1
