-- Let a key live exactly as long as its run: for good while the run is live, then as long as is left of the run's record.
-- KEYS: 1 key, 2 the run  ARGV: 1 how long to keep it if there is no such run (ms)
local left = redis.call('PTTL', KEYS[2])
if left == -1 then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], left >= 0 and left or ARGV[1])
end
