-- Reserve the maximum cost of one call, within the limits of the run and of its tenant's day.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel, 4 the run
-- ARGV: 1 the generation, 2 lifetime of the ledger if there is no such run (ms), 3 the call, 4 the attempt (it starts with
--       the fencing epoch), 5 "held", or "spent" to settle immediately, 6 the handoff the call is made for (empty: the run
--       is not checked), 7 the terminal states of runs, 8 lease (s): an older reservation counts as spent, 9 number of
--       amounts (n), then n names, n amounts, n limits of the run, n limits of the tenant's day (-1: none)
-- Returns {verdict, whose, name, left, lost}: "granted"; "wait" (blocked by reservations that may be released) or "refused"
-- (blocked by what is spent), with the scope of the limit ("run" or "tenant"), the name of the amount and its remainder;
-- "unwanted" (the run does not await the handoff) or "unknown" (there is no such run), and nothing is reserved; "fenced"
-- (another worker has taken the work over); or "lost" (the generation has changed). `lost`: the previous attempt and its
-- amounts, which are spent: as settled, or as reserved if the outcome is unknown. Empty once it was returned.
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return {'lost', '', '', '0', {}}
end
local call, attempt, becomes, n = 'call:' .. ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[9])
local now = tonumber(redis.call('TIME')[1])
local day = tostring(math.floor(now / 86400))
local function list(place)
  local items = {}
  for i = 1, n do items[i] = ARGV[9 + place * n + i] end
  return items
end
local names, amounts, limits, scopes = list(0), list(1), {list(2), list(3)}, {'run', 'tenant'}
if redis.call('HGET', KEYS[2], 'day') ~= day then
  redis.call('DEL', KEYS[2])  -- reservations belong to the day they were made on and do not count on the new day
  redis.call('HSET', KEYS[2], 'day', day)
end
local function objection(handoff)
  if handoff == '' then
    return nil
  end
  local state, version, awaited = unpack(redis.call('HMGET', KEYS[4], 'state', 'version', 'awaited'))
  if not state then
    return 'unknown'
  end
  if string.find(ARGV[7], state, 1, true) then
    return 'unwanted'
  end
  local at, ids = string.match(awaited or '', '^(%d+) (.*)$')
  if at ~= version then  -- last written by a release without the field: any handoff may act until the run ends
    return nil
  end
  return not string.find(ids, '"' .. handoff .. '"', 1, true) and 'unwanted' or nil
end
local function epoch(attempt)
  return tonumber(string.match(attempt, '^%d+')) or 0
end
local function add(field, name, amount)
  for scope = 1, 2 do
    if redis.call('HINCRBY', KEYS[scope], field .. name, amount) < 0 then
      redis.call('HSET', KEYS[scope], field .. name, 0)
    end
  end
end
local lost, known = {}, redis.call('HGET', KEYS[1], call)
if known then
  local state, before, cost = unpack(attempted(KEYS, {known}))
  if epoch(before) > epoch(attempt) then
    return {'fenced', '', '', '0', {}}
  end
  if before == attempt and (state ~= 'spent' or becomes == 'spent') then
    return {objection(ARGV[6]) or 'granted', '', '', '0', {}}
  end
  if state == 'held' then
    lose(KEYS, {ARGV[3], string.sub(known, 6), unpack(names)})
  end
  if cost ~= '' then  -- the journal of the call may lack this attempt: keep it in the ledger
    lost = {before, cost}
    local past = cjson.decode(redis.call('HGET', KEYS[1], 'past:' .. ARGV[3]) or '{}')
    past[before] = cost
    redis.call('HSET', KEYS[1], 'past:' .. ARGV[3], cjson.encode(past))
    redis.call('HSET', KEYS[1], call, 'spent ' .. before)
  end
end
local function judged()
  local verdict, whose, which, left = objection(ARGV[6]) or 'granted', '', '', 0
  for scope = 1, 2 do
    for i, name in ipairs(names) do
      local limit = tonumber(limits[scope][i])
      if limit >= 0 and (verdict == 'granted' or verdict == 'wait') then
        local spent = tonumber(redis.call('HGET', KEYS[scope], 'spent:' .. name) or '0')
        local held = tonumber(redis.call('HGET', KEYS[scope], 'held:' .. name) or '0')
        local wanted = tonumber(amounts[i])
        if spent + wanted > limit then
          verdict, whose, which, left = 'refused', scopes[scope], name, limit - spent
        elseif verdict == 'granted' and spent + held + wanted > limit then
          verdict, whose, which, left = 'wait', scopes[scope], name, limit - spent - held
        end
      end
    end
  end
  return verdict, whose, which, left
end
local verdict, whose, which, left = judged()
if verdict == 'wait' then  -- perhaps for a reservation whose worker died
  overdue(KEYS, {now, unpack(names)})
  verdict, whose, which, left = judged()
end
if verdict == 'granted' then
  local numbers = {}
  for i, name in ipairs(names) do
    numbers[i] = tonumber(amounts[i])
    add(becomes .. ':', name, amounts[i])
  end
  local kept = attempt .. ' ' .. table.concat(amounts, ' ')
  if becomes == 'held' then
    kept = cjson.encode({attempt = attempt, amounts = numbers, lease = now + tonumber(ARGV[8]), day = day})
    redis.call('HSET', KEYS[2], 'hold:' .. KEYS[1] .. ' ' .. ARGV[3], kept)
  end
  redis.call('HSET', KEYS[1], call, becomes .. ' ' .. kept)
end
expire({KEYS[1], KEYS[4]}, {ARGV[2]})
return {verdict, whose, which, string.format('%.0f', left), lost}
