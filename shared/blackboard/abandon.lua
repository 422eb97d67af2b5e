-- Count everything as spent that some work has reserved: nobody goes on with it.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel
-- ARGV: 1 the generation, 2 what the names of its calls begin with, then the names of the amounts
-- Returns "done", or "lost" (the blackboard is not the caller's).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 'lost'
end
local ledger, start = redis.call('HGETALL', KEYS[1]), 'call:' .. ARGV[2]
for i = 1, #ledger, 2 do
  local held = string.match(ledger[i + 1], '^held (.*)$')
  if held and string.sub(ledger[i], 1, #start) == start then
    lose(KEYS, {string.sub(ledger[i], 6), held, unpack(ARGV, 3)})
  end
end
return 'done'
