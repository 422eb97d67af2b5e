-- Take an amount from each of some token buckets: from all of them, or from none.
-- KEYS: the buckets  ARGV: 1 the longest acceptable wait (ms; -1: take whatever the wait), then for each bucket its
--       capacity, what flows in a second, and the amount (negative: given back)
-- Returns {taken (0 or 1), wait (ms)}. What is not there yet is owed: the level falls below zero, the wait says when it
-- will have flowed in, and whoever comes later waits longer. So waiters go in the order they came, and none asks twice.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local patience, longest, levels = tonumber(ARGV[1]), 0, {}
for i, key in ipairs(KEYS) do
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
for i, key in ipairs(KEYS) do
  local capacity, flow = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  redis.call('HSET', key, 'level', string.format('%.6f', levels[i]), 'at', string.format('%.6f', now))
  redis.call('PEXPIRE', key, math.ceil((capacity - levels[i]) / flow * 1000) + 1000)
end
return {1, wait}
