-- Show something live between two changes of a run: after the last event, before those of the next change.
-- KEYS: 1 live events  ARGV: 1 the event
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local id = '0-1'
if last[1] then
  local change, number = string.match(last[1][1], '^(%d+)-(%d+)$')
  id = change .. '-' .. (tonumber(number) + 1)
end
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, id, 'event', ARGV[1])
