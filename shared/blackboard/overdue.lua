-- Count reservations with an expired lease as spent: those of the run's calls, and of its tenant's other runs.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger  ARGV: 1 the current time (s), then the names of the amounts
local now, ledger, names = tonumber(ARGV[1]), redis.call('HGETALL', KEYS[1]), {unpack(ARGV, 2)}
for i = 1, #ledger, 2 do
  local held = string.match(ledger[i + 1], '^held (.*)$')
  local lease = held and cjson.decode(held).lease
  if lease and lease <= now then
    lose(KEYS, {string.sub(ledger[i], 6), held, unpack(names)})
  end
end
local tenant = redis.call('HGETALL', KEYS[2])
for i = 1, #tenant, 2 do
  local hold = string.sub(tenant[i], 1, 5) == 'hold:' and cjson.decode(tenant[i + 1])
  if hold and hold.lease <= now and redis.call('HDEL', KEYS[2], tenant[i]) == 1 then
    for j, name in ipairs(names) do
      if redis.call('HINCRBY', KEYS[2], 'held:' .. name, string.format('%.0f', 0 - hold.amounts[j])) < 0 then
        redis.call('HSET', KEYS[2], 'held:' .. name, 0)  -- a version without leases has released it
      end
      redis.call('HINCRBY', KEYS[2], 'spent:' .. name, string.format('%.0f', hold.amounts[j]))
    end
  end
end
