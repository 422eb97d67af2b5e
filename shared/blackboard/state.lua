-- One field of a hash, with what says whether the blackboard is whole.
-- KEYS: 1 hash, 2 sentinel  ARGV: 1 field
-- Returns {the sentinel or "", the field or ""}.
return {redis.call('GET', KEYS[2]) or '', redis.call('HGET', KEYS[1], ARGV[1]) or ''}
