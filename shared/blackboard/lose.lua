-- Count a call's reservation as spent, because its outcome is unknown. The next attempt at the call reports it, once.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger  ARGV: as for `unhold`
local held, counts = cjson.decode(ARGV[2]), unhold(KEYS, ARGV)
for i = 3, #ARGV do
  for scope = 1, 2 do
    if counts[scope] then
      redis.call('HINCRBY', KEYS[scope], 'spent:' .. ARGV[i], string.format('%.0f', held.amounts[i - 2]))
    end
  end
end
redis.call('HSET', KEYS[1], 'call:' .. ARGV[1], 'lost ' .. ARGV[2])
