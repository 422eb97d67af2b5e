-- Request admission of a call from a circuit breaker.
-- KEYS: 1 breaker  ARGV: 1 a token of the caller's own, 2 lease of a probe (ms), 3 retry interval while another caller
--       probes (ms)
-- Returns {verdict, wait (ms)}: "closed" or "probe" (call, and report the outcome), "held", "open" or "probing" (wait).
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function moment(field) return tonumber(redis.call('HGET', KEYS[1], field) or '0') end
local held, open, probing = moment('held_until'), moment('open_until'), moment('probe_until')
if now < held then
  return {'held', held - now}
end
if open == 0 then
  return {'closed', 0}
end
if now < open then
  return {'open', open - now}
end
if now < probing then
  return {'probing', math.min(probing - now, tonumber(ARGV[3]))}
end
redis.call('HSET', KEYS[1], 'probe', ARGV[1], 'probe_until', string.format('%.0f', now + tonumber(ARGV[2])))
return {'probe', 0}
