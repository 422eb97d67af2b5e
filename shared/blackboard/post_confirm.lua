-- Make a reserved version of an entry visible, after it was appended to the log.
-- KEYS: 1 board, 2 sentinel, 3 checkpoint
-- ARGV: 1 the generation, 2 the token of the checkpoint that the writer knew before it appended, 3 name of the entry,
--       4 version, 5 reservation, 6 place of the post, 7 the entry
-- Returns {verdict, token}: "done"; "taken" (the reservation has expired and another writer has one: reserve again);
-- "lost" (the generation has changed); or "late", as for the entry of a journal.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return {'lost', ''}
end
if redis.call('HEXISTS', KEYS[1], 'at:' .. ARGV[6]) == 1 then
  return {'done', ''}
end
local held = redis.call('HGET', KEYS[1], 'p:' .. ARGV[3]) or ''
if string.match(held, '^(%d+ %d+) ') ~= ARGV[4] .. ' ' .. ARGV[5] then
  return {'taken', ''}
end
local token, former = unpack(redis.call('HMGET', KEYS[3], 'token', 'former'))
if token and token ~= ARGV[2] and former ~= ARGV[2] then
  return {'late', token}
end
redis.call('HDEL', KEYS[1], 'p:' .. ARGV[3])
put({KEYS[1]}, {ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]})
return {'done', token or ''}
