-- Replace the checkpoint, if the generation and the previous checkpoint are unchanged.
-- KEYS: 1 checkpoint, 2 sentinel
-- ARGV: 1 the generation, 2 token of the previous checkpoint (empty: there was none), 3 the new token, 4 the offsets
--       (JSON), 5 end of the journal log (JSON)
-- Returns 1, or 0 if nothing was replaced.
local token = redis.call('HGET', KEYS[1], 'token') or ''
if redis.call('GET', KEYS[2]) ~= ARGV[1] or token ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'token', ARGV[3], 'former', token, 'offsets', ARGV[4], 'ahead', ARGV[5])
return 1
