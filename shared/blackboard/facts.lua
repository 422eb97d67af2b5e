-- Replace the facts of a session.
-- KEYS: 1 facts of the session, 2 sentinel
-- ARGV: 1 the generation, 2 lifetime (ms), then run, its facts, run, its facts, …
-- Returns "done", or "lost" (the generation has changed), and nothing is written.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'lost' end
redis.call('DEL', KEYS[1])
if #ARGV > 2 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 3))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 'done'
