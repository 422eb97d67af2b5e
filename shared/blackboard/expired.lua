-- Remove expired runs from the index of a tenant's runs.
-- KEYS: 1 index of the tenant's runs  ARGV: 1 most runs to remove, 2, 3 a run's key, in parts around its id
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local expiry = KEYS[1] .. ':expiry'
for _, id in ipairs(redis.call('ZRANGE', expiry, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  local left = redis.call('PTTL', ARGV[2] .. id .. ARGV[3])
  if left == -2 then
    unindex(KEYS, {id})
  elseif left == -1 then
    redis.call('ZREM', expiry, id)
  else
    redis.call('ZADD', expiry, string.format('%.0f', now + left), id)
  end
end
