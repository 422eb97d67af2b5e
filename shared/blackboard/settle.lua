-- Replace a call's reservation by its actual cost, and store the cost with the call; also after the lease has expired and
-- the whole reservation counted as spent. Does nothing if already settled, or if a later attempt was made or counted.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel, 4 the run
-- ARGV: 1 the generation, 2 lifetime of the ledger if there is no such run (ms), 3 the call, 4 the attempt, 5 number of
--       amounts (n), then n names, n amounts
-- Returns "done", or "lost" (the generation has changed).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 'lost'
end
local call, attempt, n = 'call:' .. ARGV[3], ARGV[4], tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[1], call)
-- For the run and for its tenant's day: true if the cost must be counted, and the amounts counted so far in its place.
local counts, counted = {true, true}, {{}, {}}
if known then
  local state, reserved = string.match(known, '^(%a+) (.*)$')
  local held = state ~= 'spent' and cjson.decode(reserved)
  if not held or held.attempt ~= attempt then
    return 'done'
  end
  local today = held.day ~= nil and held.day == redis.call('HGET', KEYS[2], 'day')
  if state == 'held' then
    counts = unhold(KEYS, {ARGV[3], reserved, unpack(ARGV, 6, 5 + n)})
    if not counts[2] and today then
      counts[2], counted[2] = true, held.amounts
    end
  else
    counts[2], counted = today, {held.amounts, held.amounts}
  end
end
for i = 1, n do
  for scope = 1, 2 do
    if counts[scope] then
      local cost = tonumber(ARGV[5 + n + i]) - (counted[scope][i] or 0)
      redis.call('HINCRBY', KEYS[scope], 'spent:' .. ARGV[5 + i], string.format('%.0f', cost))
    end
  end
end
redis.call('HSET', KEYS[1], call, 'spent ' .. attempt .. ' ' .. table.concat({unpack(ARGV, 6 + n, 5 + 2 * n)}, ' '))
expire({KEYS[1], KEYS[4]}, {ARGV[2]})
return 'done'
