-- Report the outcome of a call to a circuit breaker.
-- KEYS: 1 breaker  ARGV: 1 the probe's token ("" for an ordinary call), 2 "worked", "failed" or "unknown",
--       3 consecutive failures that open it, 4 rest period (ms), 5 hold during which no call may be made (ms; 0: none),
--       6 time to keep the breaker (ms)
-- Returns "opened", "closed" or "" (unchanged). While the breaker is not closed only the probe changes it.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function set(field, moment) redis.call('HSET', KEYS[1], field, string.format('%.0f', moment)) end
local function forget(...) redis.call('HDEL', KEYS[1], ...) end
local is_open = redis.call('HGET', KEYS[1], 'open_until')
local is_probe = ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'probe') == ARGV[1]
local hold = tonumber(ARGV[5])
local function judge()
  if is_open and not is_probe then
    return ''
  end
  if ARGV[2] == 'worked' then
    forget('failures', 'open_until', 'probe', 'probe_until')
    return is_open and 'closed' or ''
  end
  if ARGV[2] == 'unknown' then
    forget('probe', 'probe_until')
    return ''
  end
  local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0') + 1
  set('failures', failures)
  if not is_open and failures < tonumber(ARGV[3]) then
    return ''
  end
  forget('probe', 'probe_until')
  set('open_until', now + tonumber(ARGV[4]))
  return 'opened'
end
local change = judge()
if hold > 0 then
  set('held_until', math.max(now + hold, tonumber(redis.call('HGET', KEYS[1], 'held_until') or '0')))
end
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[6]), hold))
return change
