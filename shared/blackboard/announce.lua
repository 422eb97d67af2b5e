-- Make an agent known, and note when it was last heard of by Redis's own clock: those of hosts differ.
-- KEYS: 1 cards, 2 when each agent was heard of  ARGV: 1 the agent, 2 its card
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
