-- Return the claim on a resource as {claim, run}, or nil if it has ended: by its time, by a person, or with its run.
-- KEYS: 1 claims of the tenant  ARGV: 1 resource, 2 prefix of the keys of runs, 3 now (ms)
-- A claim is stored as `<number> <end in ms> <run> <claim>`. A run that has ended may still be settling.
local text = redis.call('HGET', KEYS[1], 'c:' .. ARGV[1])
local ends, run = string.match(text or '', '^%d+ (%d+) ([^ ]+) ')
if not run or tonumber(ends) <= tonumber(ARGV[3]) then
  return nil
end
local state = ARGV[2] .. run .. ':state'
local released = redis.call('HGET', state, 'released_claims') or '[]'
if string.find(released, '[%[,]' .. string.match(text, '^%d+') .. '[,%]]') then
  return nil  -- a person has ended it
end
local left = redis.call('PTTL', state)
if left == -1 or (left > 0 and redis.call('HGET', state, 'settling') == 'true') then
  return {text, run}
end
return nil
