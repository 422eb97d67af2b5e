-- Read a hash together with the sentinel.
-- KEYS: 1 hash, 2 sentinel
-- Returns {the sentinel or "", {name, value, …}}.
return {redis.call('GET', KEYS[2]) or '', redis.call('HGETALL', KEYS[1])}
