-- Put a turn into its session, or replace it there, and let the session live for its lifetime after this change.
-- KEYS: 1 turns of the session, 2 their order, 3 the tenant's sessions
-- ARGV: 1 the session, 2 the run, 3 its start time (ms), 4 the turn, 5 time of the change (ms), 6 lifetime of the session (ms),
--       7 turns that are kept, 8 turns that are counted, 9 the end of the session up to this run, or ""
-- An end is kept with the start time of its run: turns that started later belong to the conversation after it.
local session, run, started, change = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('HSET', KEYS[1], run, ARGV[4])
redis.call('ZADD', KEYS[2], started, run)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(ARGV[8]) - 1)
local older = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[7])
if older > 0 then  -- of these only their number is kept
  local place = redis.call('ZRANK', KEYS[2], run)
  if not place or place < older then redis.call('HDEL', KEYS[1], run) end
  redis.call('HDEL', KEYS[1], redis.call('ZRANGE', KEYS[2], older - 1, older - 1)[1])
end
if ARGV[9] ~= '' then
  local ended = tonumber(string.match(redis.call('HGET', KEYS[1], '@end') or '', '^%d+') or '-1')
  if tonumber(started) >= ended then redis.call('HSET', KEYS[1], '@end', string.format('%.0f', started) .. ' ' .. ARGV[9]) end
end
local known = tonumber(redis.call('ZSCORE', KEYS[3], session) or '0')
local expires = string.format('%.0f', math.max(change + ARGV[6], known, now + 1))
redis.call('PEXPIREAT', KEYS[1], expires)
redis.call('PEXPIREAT', KEYS[2], expires)
redis.call('ZADD', KEYS[3], expires, session)
redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]))
