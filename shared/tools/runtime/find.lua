-- Find a cached result.
-- KEYS: 1 the result
-- Returns {result, its age (seconds, as text)}, or nothing.
local kept = redis.call('GET', KEYS[1])
if not kept then
  return {}
end
local clock, space = redis.call('TIME'), string.find(kept, ' ', 1, true)
local age = tonumber(clock[1]) + tonumber(clock[2]) / 1000000 - tonumber(string.sub(kept, 1, space - 1))
return {string.sub(kept, space + 1), string.format('%.3f', math.max(0, age))}
