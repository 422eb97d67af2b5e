-- Put a claim among those of its tenant, or end it, unless a later claim on the resource is known.
-- KEYS: 1 claims of the tenant, 2 number of its last claim
-- ARGV: 1 resource, 2 the claim as `holder` reads it, 3 "1": it was released
-- Returns 1 if anything was changed.
local number, ends = string.match(ARGV[2], '^(%d+) (%d+) ')
local held = redis.call('HGET', KEYS[1], 'c:' .. ARGV[1])
local before, until_then = string.match(held or '0 0', '^(%d+) (%d+)')
if tonumber(number) > tonumber(redis.call('GET', KEYS[2]) or '0') then
  redis.call('SET', KEYS[2], number)
end
if tonumber(before) > tonumber(number) or (before == number and ARGV[3] == '0' and tonumber(until_then) >= tonumber(ends)) then
  return 0
end
if ARGV[3] == '1' then
  return redis.call('HDEL', KEYS[1], 'c:' .. ARGV[1])
end
redis.call('HSET', KEYS[1], 'c:' .. ARGV[1], ARGV[2])
return 1
