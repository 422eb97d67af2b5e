-- Reserve the claim on a resource for a run. Others are refused from now on; the claim counts when it is confirmed.
-- KEYS: 1 claims of the tenant, 2 number of its last claim, 3 sentinel
-- ARGV: 1 the generation, 2 the least number of it, 3 resource, 4 run, 5 place of the call, 6 prefix of the keys of runs,
--       7 lifetime of a reservation (ms), 8 most claims of the run, 9 most of the tenant, 10 lifetime of all (ms)
-- Returns {verdict, …}: "held" or "own" and the claim (another run has it, or this one); "reserved", number and time in
-- ms; "busy" (another writer has a reservation); "over" (the run has ended); "full"; or "lost".
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local clock = string.format('%.0f', now)
local held = holder({KEYS[1]}, {ARGV[3], ARGV[6], clock})
if held then
  return {held[2] == ARGV[4] and 'own' or 'held', held[1]}
end
if redis.call('PTTL', ARGV[6] .. ARGV[4] .. ':state') ~= -1 then
  return {'over'}
end
local number, since
local pending = redis.call('HGET', KEYS[1], 'p:' .. ARGV[3])
if pending then
  local reserved, at, ends, place = string.match(pending, '^(%d+) (%d+) (%d+) (.+)$')
  if place == ARGV[5] then
    number, since = reserved, at
  elseif tonumber(ends) > now then
    return {'busy'}
  end
end
if not number then
  local names, own, all = redis.call('HKEYS', KEYS[1]), 0, 0
  for _, name in ipairs(names) do
    if string.sub(name, 1, 2) == 'c:' then
      local each = holder({KEYS[1]}, {string.sub(name, 3), ARGV[6], clock})
      if not each then redis.call('HDEL', KEYS[1], name) else all = all + 1 end
      if each and each[2] == ARGV[4] then own = own + 1 end
    elseif tonumber(string.match(redis.call('HGET', KEYS[1], name), '^%d+ %d+ (%d+)')) <= now then
      redis.call('HDEL', KEYS[1], name)
    else
      all = all + 1
    end
  end
  if own >= tonumber(ARGV[8]) or all >= tonumber(ARGV[9]) then
    return {'full'}
  end
  number = string.format('%.0f', math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[2])) + 1)
  redis.call('SET', KEYS[2], number)
  since = clock
end
local ends = string.format('%.0f', now + ARGV[7])
redis.call('HSET', KEYS[1], 'p:' .. ARGV[3], table.concat({number, since, ends, ARGV[5]}, ' '))
redis.call('PEXPIRE', KEYS[1], ARGV[10])
return {'reserved', number, since}
