-- Replace what a call has reserved by what it has cost, and keep that with the call. Again, or by one whose reservation was taken for lost: nothing.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel, 4 the run
-- ARGV: 1 the generation, 2 how long to keep the ledger if there is no such run (ms), 3 the call, 4 which attempt at it, 5 how many amounts
--       there are (n), then n names, n amounts
-- Returns "done", or "lost" (the blackboard is not the caller's).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 'lost'
end
local call, attempt, n = 'call:' .. ARGV[3], ARGV[4], tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[1], call)
local held = nil
if known then
  if string.sub(known, 1, 5) ~= 'held ' then
    return 'done'
  end
  held = cjson.decode(string.sub(known, 6))
  if held.attempt ~= attempt then
    return 'done'
  end
end
local counts = {true, true}
if held then
  counts = unhold(KEYS, {ARGV[3], string.sub(known, 6), unpack(ARGV, 6, 5 + n)})
end
for i = 1, n do
  for scope = 1, 2 do
    if counts[scope] then
      redis.call('HINCRBY', KEYS[scope], 'spent:' .. ARGV[5 + i], ARGV[5 + n + i])
    end
  end
end
redis.call('HSET', KEYS[1], call, 'spent ' .. attempt .. ' ' .. table.concat({unpack(ARGV, 6 + n, 5 + 2 * n)}, ' '))
expire({KEYS[1], KEYS[4]}, {ARGV[2]})
return 'done'
