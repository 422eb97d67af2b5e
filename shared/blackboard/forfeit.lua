-- Count a call's reservation as spent, because its outcome is unknown. The next attempt at the call reports it, once.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel
-- ARGV: 1 the generation, 2 the call, 3 the attempt, then the names of the amounts
-- Returns "done", or "lost" (the generation has changed).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 'lost'
end
local held = string.match(redis.call('HGET', KEYS[1], 'call:' .. ARGV[2]) or '', '^held (.*)$')
if held and cjson.decode(held).attempt == ARGV[3] then
  lose(KEYS, {ARGV[2], held, unpack(ARGV, 4)})
end
return 'done'
