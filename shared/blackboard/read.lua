-- A run as it is, if the blackboard is whole.
-- KEYS: 1 run, 2 sentinel
-- Returns {the sentinel or "", {name, value, …}}.
return {redis.call('GET', KEYS[2]) or '', redis.call('HGETALL', KEYS[1])}
