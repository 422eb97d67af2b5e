-- Tell a circuit breaker how a call went.
-- KEYS: 1 breaker  ARGV: 1 the probe's token ("" for a call that was no probe), 2 "worked", "failed" or "unknown",
--       3 failures in a row that open it, 4 how long it rests (ms), 5 how long nobody shall call (ms; 0: as it is),
--       6 how long to remember it (ms)
-- Returns "opened", "closed" or "" (as it was). While it is not closed only the probe has a say.
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
