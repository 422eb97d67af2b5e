-- Find runs in a slice of the index whose entries are missing, of another format, or of an earlier version of the run.
-- KEYS: 1 index of the tenant's runs
-- ARGV: 1 first entry of the slice, 2 its last entry, 3 the format, 4, 5 a run's key, in parts around its id
-- Returns {number of entries in the slice, number of those that are left in it, id, …}: runs without a record are removed.
local ids = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])
local found, marks = {#ids, #ids}, #ids > 0 and redis.call('HMGET', KEYS[1] .. ':marks', unpack(ids)) or {}
for i, id in ipairs(ids) do
  local version = redis.call('HGET', ARGV[4] .. id .. ARGV[5], 'version')
  local head = ARGV[3] .. ' ' .. (version or '') .. ' '
  if not version then
    unindex(KEYS, {id})
    found[2] = found[2] - 1
  elseif string.sub(marks[i] or '', 1, #head) ~= head then
    found[#found + 1] = id
  end
end
return found
