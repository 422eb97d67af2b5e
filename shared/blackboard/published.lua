-- Remove published records from an outbox.
-- KEYS: 1 outbox, 2 sentinel  ARGV: 1 the generation, then ids
-- Returns 1, or 0 if the generation has changed.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
for i = 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
