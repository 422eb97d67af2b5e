-- Take a request for spent of which nobody knows how it ended. Who tries the call again is told of it, once.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel
-- ARGV: 1 the generation, 2 the call, 3 which attempt at it, then the names of the amounts
-- Returns "done", or "lost" (the blackboard is not the caller's).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 'lost'
end
local call = 'call:' .. ARGV[2]
local known = redis.call('HGET', KEYS[1], call)
if not known or string.sub(known, 1, 5) ~= 'held ' then
  return 'done'
end
local held = cjson.decode(string.sub(known, 6))
if held.attempt ~= ARGV[3] then
  return 'done'
end
for i = 4, #ARGV do
  local amount = held.amounts[i - 3]
  for scope = 1, 2 do
    if redis.call('HINCRBY', KEYS[scope], 'held:' .. ARGV[i], string.format('%.0f', 0 - amount)) < 0 then
      redis.call('HSET', KEYS[scope], 'held:' .. ARGV[i], 0)  -- a new day, or a rebuild, has begun without it
    end
    redis.call('HINCRBY', KEYS[scope], 'spent:' .. ARGV[i], string.format('%.0f', amount))
  end
end
redis.call('HSET', KEYS[1], call, 'lost ' .. string.sub(known, 6))
return 'done'
