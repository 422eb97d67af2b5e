-- Take back what a call has reserved of the run and of its tenant's day.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger  ARGV: 1 the call, 2 its reservation (JSON), then the names of the amounts
-- Returns {run, tenant}: whether what it has cost is still to be counted there. Not of the tenant when the reservation was of
-- an earlier day, or was counted as spent when its lease was over.
local held, counts = cjson.decode(ARGV[2]), {true, true}
if held.lease and redis.call('HDEL', KEYS[2], 'hold:' .. KEYS[1] .. ' ' .. ARGV[1]) == 0 then
  counts[2] = false
end
for i = 3, #ARGV do
  for scope = 1, 2 do
    local amount = string.format('%.0f', 0 - held.amounts[i - 2])
    if counts[scope] and redis.call('HINCRBY', KEYS[scope], 'held:' .. ARGV[i], amount) < 0 then
      redis.call('HSET', KEYS[scope], 'held:' .. ARGV[i], 0)  -- a rebuild has begun without it
    end
  end
end
return counts
