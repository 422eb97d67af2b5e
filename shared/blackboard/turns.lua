-- Read the latest turns of a session that its end does not hide.
-- KEYS: 1 turns of the session, 2 their order, 3 sentinel
-- ARGV: 1 most turns to read, 2 start time (ms) before which turns are left out
-- Returns {the sentinel or "", the end or "", number of turns, time to live (ms), {turn, …}}, the latest turn first.
local ended = redis.call('HGET', KEYS[1], '@end') or ''
local from = math.max(tonumber(ARGV[2]), tonumber(string.match(ended, '^%d+') or '0') + 1)
from = string.format('%.0f', from)
local turns = {}
for _, run in ipairs(redis.call('ZRANGE', KEYS[2], '+inf', from, 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[1])) do
  local turn = redis.call('HGET', KEYS[1], run)
  if turn then turns[#turns + 1] = turn end
end
return {redis.call('GET', KEYS[3]) or '', ended, redis.call('ZCOUNT', KEYS[2], from, '+inf'), redis.call('PTTL', KEYS[1]), turns}
