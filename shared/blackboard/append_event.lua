-- Append a live event between two changes of a run: after the last event, before those of the next change.
-- KEYS: 1 live events, 2 the run  ARGV: 1 the event
-- Does nothing for an unknown run: its key would never expire.
local left = redis.call('PTTL', KEYS[2])
if left == -2 then
  return false
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local id = '0-1'
if last[1] then
  local change, number = string.match(last[1][1], '^(%d+)-(%d+)$')
  id = change .. '-' .. (tonumber(number) + 1)
end
local added = redis.call('XADD', KEYS[1], 'MAXLEN', '~', 25000, id, 'event', ARGV[1])
if left >= 0 then redis.call('PEXPIRE', KEYS[1], left) end
return added
