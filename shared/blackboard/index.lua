-- Put a run into the index of its tenant's runs, or replace its entries there.
-- KEYS: 1 index of the tenant's runs
-- ARGV: 1 the run's id, 2 its start time, 3 its marks (format, version, start time, time of its oldest open question, time of
--       its state; its tags; then a line for the place of each open question), 4 the run as lists show it, 5 remaining lifetime of its record (ms; 0: no limit)
local runs, id = KEYS[1], ARGV[1]
local function tags(marks)
  local found = {}
  for tag in string.gmatch(marks and string.match(marks, '^[^\n]*\n([^\n]*)') or '', '[^ ]+') do found[tag] = true end
  return found
end
local marks = redis.call('HGET', runs .. ':marks', id)
local before, after = tags(marks), tags(ARGV[3])
local started = marks and string.match(marks, '^[^ ]* [^ ]* ([^ ]*)') or ARGV[2]  -- a restarted run keeps its place
redis.call('ZADD', runs, started, id)
for tag in pairs(before) do
  if not after[tag] then redis.call('ZREM', runs .. ':tag:' .. tag, id) end
end
for tag in pairs(after) do
  if not before[tag] then redis.call('ZADD', runs .. ':tag:' .. tag, started, id) end
end
local asked, changed = string.match(ARGV[3], '^[^ ]* [^ ]* [^ ]* ([^ \n]*) ?([^\n]*)')
redis.call('ZADD', runs .. ':changed', changed ~= '' and changed or started, id)
if asked == '' then
  redis.call('ZREM', runs .. ':asked', id)
else
  redis.call('ZADD', runs .. ':asked', asked, id)
end
local lines = string.match(ARGV[3], '^[^\n]*\n[^\n]*')
local places = string.sub(ARGV[3], #lines + 2)
local former = redis.call('HGET', runs .. ':places', id) or ''
if places ~= former then
  for place in string.gmatch(former, '[^\n]+') do redis.call('ZREM', runs .. ':questions', place) end
  for place in string.gmatch(places, '[^\n]+') do redis.call('ZADD', runs .. ':questions', 0, place) end
  if places == '' then redis.call('HDEL', runs .. ':places', id) else redis.call('HSET', runs .. ':places', id, places) end
end
local life = tonumber(ARGV[5])
if life > 0 then
  local now = redis.call('TIME')
  redis.call('ZADD', runs .. ':expiry', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + life), id)
else
  redis.call('ZREM', runs .. ':expiry', id)
end
redis.call('HSET', runs .. ':marks', id, (string.gsub(lines, '^([^ ]* [^ ]*) [^ ]*', '%1 ' .. started, 1)))
redis.call('HSET', runs .. ':rows', id, ARGV[4])
