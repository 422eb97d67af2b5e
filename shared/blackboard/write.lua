-- Write one entry of a journal, and what it is an answer to, if the work is still the writer's.
-- KEYS: 1 journal, 2 sentinel  ARGV: 1 the writer's fencing epoch, 2 the generation, then names and entries
-- Returns "done", "fenced" (somebody else has claimed the work) or "lost" (the blackboard is not the writer's).
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return 'lost'
end
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return 'fenced'
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'done'
