-- Replace the checkpoint, if the blackboard is the caller's and nobody else has replaced it meanwhile.
-- KEYS: 1 checkpoint, 2 sentinel
-- ARGV: 1 the generation, 2 the token it was read with (empty: there was none), 3 its new token, 4 the offsets (JSON),
--       5 how far the log of journals has come (JSON)
-- Returns 1, or 0 when nothing was replaced.
local token = redis.call('HGET', KEYS[1], 'token') or ''
if redis.call('GET', KEYS[2]) ~= ARGV[1] or token ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'token', ARGV[3], 'former', token, 'offsets', ARGV[4], 'ahead', ARGV[5])
return 1
