-- Add an amount to a counter of a tenant's day, or raise the counter to it, and keep both for some weeks.
-- KEYS: 1 the costs of the day, 2 the tenants that have spent, by their last day
-- ARGV: 1 the counter, 2 the amount, 3 lifetime (ms), 4 most counters of a day, 5 "add" or "raise"
local counter, amount = ARGV[1], tonumber(ARGV[2])
if redis.call('HEXISTS', KEYS[1], counter) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  counter = string.match(counter, '^[%w_]+:%w+:') .. '(other)'
end
if ARGV[5] == 'raise' then
  amount = amount - (tonumber(redis.call('HGET', KEYS[1], counter) or '0'))
end
if amount > 0 then
  redis.call('HINCRBY', KEYS[1], counter, string.format('%.0f', amount))
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local tenant, day = string.match(KEYS[1], '^waggle:(.*):costs:(%d+)$')
local last = tonumber(redis.call('ZSCORE', KEYS[2], tenant) or '0')
if last < tonumber(day) then
  redis.call('ZADD', KEYS[2], day, tenant)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -10001)
end
