-- Read one field of a hash together with the sentinel.
-- KEYS: 1 hash, 2 sentinel  ARGV: 1 field
-- Returns {the sentinel or "", the field or ""}.
return {redis.call('GET', KEYS[2]) or '', redis.call('HGET', KEYS[1], ARGV[1]) or ''}
