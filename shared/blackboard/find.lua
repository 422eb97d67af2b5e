-- Find runs in a state in a slice of the tenant's index, newest first.
-- KEYS: 1 index of the tenant's runs
-- ARGV: 1 first entry of the slice, 2 its length, 3 most runs to find, 4 the state as stored, 5 a run's key, in parts
--       around its id: before, 6 after
-- Returns {number of entries examined, id, …}: fewer than the slice has if enough were found or the index ends.
local found = {0}
for n, id in ipairs(redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1)) do
  found[1] = n
  if redis.call('HGET', ARGV[5] .. id .. ARGV[6], 'state') == ARGV[4] then
    found[#found + 1] = id
    if #found > tonumber(ARGV[3]) then break end
  end
end
return found
