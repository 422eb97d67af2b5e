-- Take an amount from each of several token buckets: from all of them, or from none.
-- KEYS: the buckets  ARGV: 1 the longest acceptable wait (ms; -1: take regardless of the wait), then for each bucket its
--       capacity, refill per second, and the amount (negative: returned)
-- One more key than buckets identifies the caller: a repeated request gets the same turn and takes nothing.
-- Returns {taken (0 or 1), wait (ms)}. Missing tokens are taken in advance: the level falls below zero, the wait lasts
-- until the refill covers it, and later callers wait longer. So waiters proceed in order and none asks twice.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local patience, longest, levels = tonumber(ARGV[1]), 0, {}
local buckets, remembered = (#ARGV - 1) / 3, 3600000 -- ms a turn is remembered after it has come
local asker = KEYS[buckets + 1]
local turn = asker and redis.call('GET', asker)
if turn then
  return {1, math.max(0, math.ceil((tonumber(turn) - now) * 1000))}
end
for i = 1, buckets do
  local key = KEYS[i]
  local capacity, flow, amount = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local level, at = redis.call('HGET', key, 'level'), redis.call('HGET', key, 'at')
  level = level and math.min(capacity, tonumber(level) + math.max(0, now - tonumber(at)) * flow) or capacity
  levels[i] = math.min(capacity, level - math.min(amount, capacity))
  longest = math.max(longest, -levels[i] / flow)
end
local wait = math.ceil(longest * 1000)
if patience >= 0 and wait > patience then
  return {0, wait}
end
for i = 1, buckets do
  local key, capacity, flow = KEYS[i], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  redis.call('HSET', key, 'level', string.format('%.6f', levels[i]), 'at', string.format('%.6f', now))
  redis.call('PEXPIRE', key, math.ceil((capacity - levels[i]) / flow * 1000) + 1000)
end
if asker then
  redis.call('SET', asker, string.format('%.6f', now + wait / 1000), 'PX', wait + remembered)
end
return {1, wait}
