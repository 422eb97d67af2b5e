-- Read the latest turns of a session that its end does not hide.
-- KEYS: 1 turns of the session, 2 their order, 3 sentinel, 4 facts of the session
-- ARGV: 1 most turns to read, 2 start time (ms) before which turns are left out, 3 "1": with the facts of its turns
-- Returns {the sentinel or "", the end or "", number of turns, time to live (ms), {turn, …}, {facts of a turn, …}}, the
-- latest turn first.
local ended = redis.call('HGET', KEYS[1], '@end') or ''
local from = math.max(tonumber(ARGV[2]), tonumber(string.match(ended, '^%d+') or '0') + 1)
local turns, facts = {}, {}
for _, run in ipairs(redis.call('ZRANGE', KEYS[2], '+inf', string.format('%.0f', from), 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[1])) do
  local turn = redis.call('HGET', KEYS[1], run)
  if turn then turns[#turns + 1] = turn end
end
if ARGV[3] == '1' then
  local found = redis.call('HGETALL', KEYS[4])
  for i = 1, #found, 2 do  -- those of a turn before the end, or before the session last expired, are left out
    local started = redis.call('ZSCORE', KEYS[2], found[i])
    if started and tonumber(started) >= from then facts[#facts + 1] = found[i + 1] end
  end
end
from = string.format('%.0f', from)
local count, left = redis.call('ZCOUNT', KEYS[2], from, '+inf'), redis.call('PTTL', KEYS[1])
return {redis.call('GET', KEYS[3]) or '', ended, count, left, turns, facts}
