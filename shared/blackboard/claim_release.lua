-- End a claim, after its release was appended to the log.
-- KEYS: 1 claims of the tenant, 2 number of its last claim, 3 sentinel, 4 checkpoint
-- ARGV: as for `claim_confirm`
-- Returns {verdict, token}: "done", "lost" or "late".
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return {'lost', ''}
end
local token, former = unpack(redis.call('HMGET', KEYS[4], 'token', 'former'))
if token and token ~= ARGV[2] and former ~= ARGV[2] then
  return {'late', token}
end
put_claim({KEYS[1], KEYS[2]}, {ARGV[3], ARGV[5], '1'})
return {'done', token or ''}
