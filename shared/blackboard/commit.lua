-- One write to a run: state change, processed mark, live events and outbox, all or nothing.
-- KEYS: 1 run, 2 processed messages, 3 outbox, 4 live events, 5 index of the tenant's runs, 6 sentinel
-- ARGV: 1 the version the writer decided on, 2 the message it decided about, 3 how long to keep it (ms),
--       4 the write as JSON: {fields, gone, events, outbox, run_id, started}, 5 the writer's generation
-- Returns {verdict, version, left}: "done", "repeat" (the message was processed before), "conflict" (decide again) or
-- "lost" (the blackboard is not the writer's); `left` is how much an earlier write still has in the outbox.
if redis.call('GET', KEYS[6]) ~= ARGV[5] then
  return {'lost', '0', 0}
end
local left = redis.call('HLEN', KEYS[3])
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 1 then
  return {'repeat', version, left}
end
if version ~= ARGV[1] then
  return {'conflict', version, left}
end
local write = cjson.decode(ARGV[4])
for i = 1, #write.gone do redis.call('HDEL', KEYS[1], write.gone[i]) end
for i = 1, #write.fields, 2 do redis.call('HSET', KEYS[1], write.fields[i], write.fields[i + 1]) end
version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('SADD', KEYS[2], ARGV[2])
for i = 1, #write.events do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, version .. '-' .. i, 'event', write.events[i])
end
for i = 1, #write.outbox, 2 do redis.call('HSET', KEYS[3], write.outbox[i], write.outbox[i + 1]) end
redis.call('ZADD', KEYS[5], 'NX', write.started, write.run_id)
for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
return {'done', tostring(version), left}
