-- Request admission from a circuit breaker and take one token from each bucket, atomically.
-- KEYS: 1 breaker, if there is one; then the buckets  ARGV: 1 breaker present (0 or 1), then the arguments of `admit` if
--       so, then the arguments of `take`
-- Returns {verdict, wait (ms)}: as `admit` does, with the wait before the call; or "limited" if that is too long.
local function from(list, first)
  return {unpack(list, first)}
end
local breaker = ARGV[1] == '1'
local verdict = {'closed', 0}
if breaker then
  verdict = admit({KEYS[1]}, from(ARGV, 2))
  if verdict[1] ~= 'closed' and verdict[1] ~= 'probe' then
    return verdict
  end
end
local taken = take(from(KEYS, breaker and 2 or 1), from(ARGV, breaker and 5 or 2))
if taken[1] == 0 then
  if verdict[1] == 'probe' then
    redis.call('HDEL', KEYS[1], 'probe', 'probe_until')
  end
  return {'limited', taken[2]}
end
return {verdict[1], taken[2]}
