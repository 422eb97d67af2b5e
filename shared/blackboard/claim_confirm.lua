-- Let a reserved claim count, after it was appended to the log; or extend a claim.
-- KEYS: 1 claims of the tenant, 2 number of its last claim, 3 sentinel, 4 checkpoint
-- ARGV: 1 the generation, 2 the token of the checkpoint that the writer knew before it appended, 3 resource, 4 number,
--       5 the claim as `holder` reads it
-- Returns {verdict, token}, as for a post.
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return {'lost', ''}
end
local pending = redis.call('HGET', KEYS[1], 'p:' .. ARGV[3]) or ''
local held = redis.call('HGET', KEYS[1], 'c:' .. ARGV[3]) or ''
if string.match(pending, '^%d+') ~= ARGV[4] and string.match(held, '^%d+') ~= ARGV[4] then
  return {'taken', ''}
end
local token, former = unpack(redis.call('HMGET', KEYS[4], 'token', 'former'))
if token and token ~= ARGV[2] and former ~= ARGV[2] then
  return {'late', token}
end
put_claim({KEYS[1], KEYS[2]}, {ARGV[3], ARGV[5], '0'})
if string.match(pending, '^%d+') == ARGV[4] then
  redis.call('HDEL', KEYS[1], 'p:' .. ARGV[3])  -- last: an empty hash would lose its expiry
end
return {'done', token or ''}
