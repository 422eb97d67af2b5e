-- Remove a run from the index of its tenant's runs.
-- KEYS: 1 index of the tenant's runs  ARGV: 1 the run's id
local runs, id = KEYS[1], ARGV[1]
local marks = redis.call('HGET', runs .. ':marks', id)
for tag in string.gmatch(marks and string.match(marks, '^[^\n]*\n([^\n]*)') or '', '[^ ]+') do
  redis.call('ZREM', runs .. ':tag:' .. tag, id)
end
for place in string.gmatch(redis.call('HGET', runs .. ':places', id) or '', '[^\n]+') do
  redis.call('ZREM', runs .. ':questions', place)
end
for _, set in ipairs({runs, runs .. ':asked', runs .. ':changed', runs .. ':expiry'}) do redis.call('ZREM', set, id) end
for _, hash in ipairs({runs .. ':marks', runs .. ':rows', runs .. ':places'}) do redis.call('HDEL', hash, id) end
