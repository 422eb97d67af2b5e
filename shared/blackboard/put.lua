-- Put one version of an entry on a board, unless the board has a later record of that version or of that place.
-- KEYS: 1 board  ARGV: 1 name of the entry ("": nothing was posted), 2 version, 3 reservation, 4 place, 5 the entry
-- Returns 1 if the board was changed.
local mine = tonumber(ARGV[3])
local function later(text)
  return text and tonumber(string.match(text, '^%d+')) >= mine
end
if later(redis.call('HGET', KEYS[1], 'at:' .. ARGV[4])) then
  return 0
end
if ARGV[1] == '' then
  redis.call('HSET', KEYS[1], 'at:' .. ARGV[4], ARGV[3] .. ' ')
  return 1
end
local field = 'e:' .. ARGV[1] .. ':' .. ARGV[2]
local before = redis.call('HGET', KEYS[1], field)
if later(before) then
  return 0
end
redis.call('HSET', KEYS[1], field, ARGV[3] .. ' ' .. ARGV[5], 'at:' .. ARGV[4], ARGV[3] .. ' ' .. ARGV[1] .. ':' .. ARGV[2])
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], 'h:' .. ARGV[1]) or '0') then
  redis.call('HSET', KEYS[1], 'h:' .. ARGV[1], ARGV[2])
end
if mine > tonumber(redis.call('HGET', KEYS[1], 'r') or '0') then
  redis.call('HSET', KEYS[1], 'r', ARGV[3])
end
if not before then
  redis.call('HINCRBY', KEYS[1], 'count', 1)
end
redis.call('HINCRBY', KEYS[1], 'bytes', #ARGV[5] - (before and #string.match(before, '^%d+ (.*)$') or 0))
return 1
