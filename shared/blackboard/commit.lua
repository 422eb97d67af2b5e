-- One write to a run: state change, processed mark, live events and outbox, all or nothing.
-- KEYS: 1 run, 2 processed messages, 3 outbox, 4 live events, 5 index of the tenant's runs, 6 sentinel, 7 the run's
--       ledger, 8 the names of its journals, 9 the tenant's costs of the day, 10 the tenants that have spent; if the turn of
--       its session changes: 11 the turns of the session, 12 their order, 13 the tenant's sessions
-- ARGV: 1 the version the decision is based on, 2 mark of the processed message, 3 lifetime of the run (ms; 0: no limit,
--       it is live), 4 the writer's generation, 5 the run's id, 6 its start time, 7 mark that an earlier release gave that
--       message, 8 "1" if the run was over before (messages after its result do not extend its lifetime), 9 its marks and
--       10 its row in the index; then four lists, each after its length: names of deleted fields; fields and values; live
--       events; outbox ids and records; then lifetime and most counters of the costs, and a list of counters and amounts;
--       last the arguments of `turn`, as a list that may be empty
-- Returns {verdict, version, left}: "done", "repeat" (the message was processed before), "conflict" (decide again) or
-- "lost" (the generation has changed); `left` is the number of outbox records left by earlier writes.
-- Every write removes some expired runs from the index, and a new run also those among ten runs drawn at random: their expiry
-- may be unknown, because an earlier release wrote them. The index therefore stays bounded.
if redis.call('GET', KEYS[6]) ~= ARGV[4] then
  return {'lost', '0', 0}
end
local lived = redis.call('PTTL', KEYS[1])
local left = redis.call('HLEN', KEYS[3])
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 1 or redis.call('SISMEMBER', KEYS[2], ARGV[7]) == 1 then
  return {'repeat', version, left}
end
if version ~= ARGV[1] then
  return {'conflict', version, left}
end
local at = 11
local function each(width, act)
  local length = tonumber(ARGV[at])
  for i = at + 1, at + length, width do act(ARGV[i], ARGV[i + 1]) end
  at = at + length + 1
end
version = redis.call('HINCRBY', KEYS[1], 'version', 1)
each(1, function(name) redis.call('HDEL', KEYS[1], name) end)
each(2, function(name, value) redis.call('HSET', KEYS[1], name, value) end)
local number = 0
each(1, function(event)
  number = number + 1
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 25000, version .. '-' .. number, 'event', event)
end)
each(2, function(id, record) redis.call('HSET', KEYS[3], id, record) end)
local lifetime, most = ARGV[at], ARGV[at + 1]
at = at + 2
each(2, function(counter, amount) spend({KEYS[9], KEYS[10]}, {counter, amount, lifetime, most, 'add'}) end)
if ARGV[at] ~= '0' then turn({KEYS[11], KEYS[12], KEYS[13]}, {unpack(ARGV, at + 1)}) end
redis.call('SADD', KEYS[2], ARGV[2])
local life = ARGV[8] == '1' and lived > 0 and lived or ARGV[3]
local function keep(key)
  if ARGV[3] == '0' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, life) end
end
for i = 1, 4 do keep(KEYS[i]) end
index({KEYS[5]}, {ARGV[5], ARGV[6], ARGV[9], ARGV[10], ARGV[3] == '0' and '0' or life})
redis.call('PERSIST', KEYS[5])
if ARGV[3] ~= '0' or lived ~= -1 then  -- the run ends, starts or is resumed: ledger and journals get its lifetime
  keep(KEYS[7])
  keep(KEYS[8])
  for _, journal in ipairs(redis.call('SMEMBERS', KEYS[8])) do keep(journal) end
end
local prefix = string.sub(KEYS[1], 1, -#(ARGV[5] .. ':state') - 1)
expired({KEYS[5]}, {10, prefix, ':state'})
if version == 1 then
  for _, id in ipairs(redis.call('ZRANDMEMBER', KEYS[5], 10)) do
    if redis.call('HLEN', prefix .. id .. ':state') == 0 then unindex({KEYS[5]}, {id}) end
  end
end
return {'done', tostring(version), left}
