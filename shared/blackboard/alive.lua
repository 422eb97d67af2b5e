-- Renew the times of an agent and one replica, and return 1, if both are stored as the replica last announced them;
-- else return 0: it has to announce them again.
-- KEYS: 1 cards, 2 times of agents, 3 reports, 4 times of replicas
-- ARGV: 1 the agent, 2 the SHA-1 of its card, 3 the replica, 4 the SHA-1 of its report
local card, report = redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[3], ARGV[3])
if not card or redis.sha1hex(card) ~= ARGV[2] or not report or redis.sha1hex(report) ~= ARGV[4] then
  return 0
end
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZADD', KEYS[4], now, ARGV[3])
return 1
