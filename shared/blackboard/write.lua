-- Write one entry of a journal, and the request it answers, if the writer's claim is still valid.
-- KEYS: 1 journal, 2 sentinel, 3 checkpoint
-- ARGV: 1 the writer's fencing epoch, 2 the generation, 3 the token of the checkpoint that the writer knew before it
--       appended the entry to the log, then names and entries
-- Returns {verdict, token}: "done"; "fenced" (another worker has claimed the work); "lost" (the generation has changed);
-- or "late" (two checkpoints were made since, so the log's tail may lack the entry: append it again).
-- `token`: of the current checkpoint.
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
