-- Write one entry of a journal, and what it is an answer to, if the work is still the writer's.
-- KEYS: 1 journal, 2 sentinel, 3 checkpoint
-- ARGV: 1 the writer's fencing epoch, 2 the generation, 3 the token of the checkpoint that the writer knew before it
--       appended the entry to the log, then names and entries
-- Returns {verdict, token}: "done"; "fenced" (somebody else has claimed the work); "lost" (the blackboard is not the
-- writer's); or "late" (two checkpoints were made since, so the log's tail may not have the entry: append it again).
-- `token`: of the present checkpoint.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return {'lost', ''}
end
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return {'fenced', ''}
end
local token, former = unpack(redis.call('HMGET', KEYS[3], 'token', 'former'))
if token and token ~= ARGV[3] and former ~= ARGV[3] then
  return {'late', token}
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
return {'done', token or ''}
