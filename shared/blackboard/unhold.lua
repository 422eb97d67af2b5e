-- Release a call's reservation in the ledgers of the run and of its tenant's day.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger  ARGV: 1 the call, 2 its reservation (JSON), then the names of the amounts
-- Returns {run, tenant}: true if the cost must still be counted there. False for the tenant if the reservation is of an
-- earlier day, or already counted as spent because its lease expired.
local held, counts = cjson.decode(ARGV[2]), {true, true}
if held.lease and redis.call('HDEL', KEYS[2], 'hold:' .. KEYS[1] .. ' ' .. ARGV[1]) == 0 then
  counts[2] = false
end
for i = 3, #ARGV do
  for scope = 1, 2 do
    local amount = string.format('%.0f', 0 - held.amounts[i - 2])
    if counts[scope] and redis.call('HINCRBY', KEYS[scope], 'held:' .. ARGV[i], amount) < 0 then
      redis.call('HSET', KEYS[scope], 'held:' .. ARGV[i], 0)  -- a rebuild has started without it
    end
  end
end
return counts
