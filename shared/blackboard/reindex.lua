-- Put a run into the index as this release shows it, if it has not changed since it was read.
-- KEYS: 1 index of the tenant's runs, 2 the run, 3 sentinel  ARGV: 1 the generation, 2 the version that was read, then as for `index`
-- Returns 1, or 0 if the run has changed, has expired, or the generation has changed.
if redis.call('GET', KEYS[3]) ~= ARGV[1] or redis.call('HGET', KEYS[2], 'version') ~= ARGV[2] then
  return 0
end
index(KEYS, {ARGV[3], ARGV[4], ARGV[5], ARGV[6], math.max(0, redis.call('PTTL', KEYS[2]))})
return 1
