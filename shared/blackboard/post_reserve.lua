-- Reserve the next version of an entry on a run's board. It is invisible until it is confirmed.
-- KEYS: 1 board, 2 sentinel, 3 the run, 4 the run's journals
-- ARGV: 1 lifetime of the board if there is no such run (ms), 2 the generation, 3 the least reservation of it, 4 name of
--       the entry, 5 the version it must have ("": any), 6 place of the post, 7 lifetime of a reservation (ms), 8 size of
--       the post, 9 most entries, 10 most bytes
-- Returns {verdict, …}: "done" and the entry (this place has posted before); "reserved", version, reservation and time in
-- ms; "conflict", version, current entry or "", and a reservation; "busy" (another writer has a reservation); "full"; or
-- "lost" (the generation has changed).
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function current(name, version)
  return version > 0 and redis.call('HGET', KEYS[1], 'e:' .. name .. ':' .. version) or ''
end
local posted = redis.call('HGET', KEYS[1], 'at:' .. ARGV[6])
local known = posted and string.match(posted, '^%d+ (.+)$')
if known then
  return {'done', redis.call('HGET', KEYS[1], 'e:' .. known)}
end
local name, version = ARGV[4], tonumber(redis.call('HGET', KEYS[1], 'h:' .. ARGV[4]) or '0')
local function reservation()
  local number = math.max(tonumber(redis.call('HGET', KEYS[1], 'r') or '0'), tonumber(ARGV[3])) + 1
  redis.call('HSET', KEYS[1], 'r', string.format('%.0f', number))
  redis.call('SADD', KEYS[4], KEYS[1])
  expire({KEYS[1], KEYS[3]}, ARGV)
  expire({KEYS[4], KEYS[3]}, ARGV)
  return string.format('%.0f', number)
end
if ARGV[5] ~= '' and tonumber(ARGV[5]) ~= version then
  return {'conflict', version, current(name, version), reservation()}
end
local held = redis.call('HGET', KEYS[1], 'p:' .. name)
local number, at
if held then
  local of, reserved, since, ends, place = string.match(held, '^(%d+) (%d+) (%d+) (%d+) (.+)$')
  if place == ARGV[6] and tonumber(of) == version + 1 then
    number, at = reserved, since
  elseif tonumber(ends) > now then
    return {'busy'}
  end
end
local counts = redis.call('HMGET', KEYS[1], 'count', 'bytes')
if tonumber(counts[1] or '0') >= tonumber(ARGV[9]) or tonumber(counts[2] or '0') + ARGV[8] > tonumber(ARGV[10]) then
  return {'full'}
end
number, at = number or reservation(), at or string.format('%.0f', now)
local ends = string.format('%.0f', now + ARGV[7])
redis.call('HSET', KEYS[1], 'p:' .. name, table.concat({version + 1, number, at, ends, ARGV[6]}, ' '))
return {'reserved', version + 1, number, at}
