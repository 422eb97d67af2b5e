-- Count all reservations of some work as spent, and list the cost of each attempt at its calls.
-- KEYS: 1 the run's ledger, 2 the tenant's ledger, 3 sentinel
-- ARGV: 1 the generation, 2 prefix of the names of its calls, 3 the fencing epoch of the caller (reservations of later
--       epochs are not touched), then the names of the amounts
-- Returns {"done", {call, attempt, amounts, …}}, or {"lost", {}} (the generation has changed).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return {'lost', {}}
end
local found, listed = redis.call('HGETALL', KEYS[1]), {}
local function begins(field, with)
  return string.sub(field, 1, #with) == with
end
local function list(call, attempt, amounts)
  for _, each in ipairs({call, attempt, amounts}) do listed[#listed + 1] = each end
end
for i = 1, #found, 2 do
  local field, value = found[i], found[i + 1]
  local call = string.sub(field, 6)
  if begins(field, 'call:' .. ARGV[2]) then
    local state, attempt, amounts = unpack(attempted(KEYS, {value}))
    local epoch = tonumber(string.match(attempt, '^%d+')) or 0
    if state == 'held' and epoch <= tonumber(ARGV[3]) then
      lose(KEYS, {call, string.sub(value, 6), unpack(ARGV, 4)})
      state = 'lost'
    end
    if state == 'lost' and epoch <= tonumber(ARGV[3]) then  -- final: a later settlement by its worker is ignored
      redis.call('HSET', KEYS[1], field, 'spent ' .. attempt .. ' ' .. amounts)
    end
    if state ~= 'held' and amounts ~= '' then
      list(call, attempt, amounts)
    end
  elseif begins(field, 'past:' .. ARGV[2]) then
    for attempt, amounts in pairs(cjson.decode(value)) do list(call, attempt, amounts) end
  end
end
return {'done', listed}
