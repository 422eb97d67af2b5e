-- Register an agent and the time of its announcement by Redis's clock, because clocks of hosts differ.
-- KEYS: 1 cards, 2 announcement times  ARGV: 1 the agent, 2 its card
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
