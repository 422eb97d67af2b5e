-- Give a key the lifetime of its run: no limit while the run is live, then the remaining lifetime of the run's record.
-- KEYS: 1 key, 2 the run  ARGV: 1 lifetime if there is no such run (ms)
local left = redis.call('PTTL', KEYS[2])
if left == -1 then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], left >= 0 and left or ARGV[1])
end
