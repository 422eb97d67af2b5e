-- Claim some work: later writes of its previous worker are refused.
-- KEYS: 1 journal, 2 sentinel, 3 the run, 4 the run's journals
-- ARGV: 1 lifetime of the journal if there is no such run (ms), 2 the generation, 3 its epoch
-- Returns the journal as {name, entry, …}, with the new fencing epoch in its field `epoch`; or {} if the generation has
-- changed. A fencing epoch is <times claimed> + 2^20 * <epoch of the generation>, so that it also rises over a rebuild.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return {}
end
local least = tonumber(ARGV[3]) * 1048576
local held = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', math.max(held, least) + 1))
redis.call('SADD', KEYS[4], KEYS[1])
expire({KEYS[1], KEYS[3]}, ARGV)
expire({KEYS[4], KEYS[3]}, ARGV)
return redis.call('HGETALL', KEYS[1])
