-- Claim or release the digest of a call for one place in a run, so that concurrent steps do not make equal calls.
-- KEYS: 1 the run's ledger, 2 sentinel
-- ARGV: 1 the generation, 2 digest of the call, 3 its place, 4 "claim", "force" (replace any claim) or "release",
--       5 a place that a claim may replace, or ""
-- Returns {verdict, place}: "done", "taken" (with the place that has it) or "lost" (the generation has changed).
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return {'lost', ''}
end
local field = 'act:' .. ARGV[2]
local held = redis.call('HGET', KEYS[1], field)
if ARGV[4] == 'release' then
  if held == ARGV[3] then
    redis.call('HDEL', KEYS[1], field)
  end
  return {'done', ''}
end
if held and held ~= ARGV[3] and ARGV[4] == 'claim' and held ~= ARGV[5] then
  return {'taken', held}
end
redis.call('HSET', KEYS[1], field, ARGV[3])
return {'done', ''}
