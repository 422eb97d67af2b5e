-- Read entries of a run's board together with the sentinel.
-- KEYS: 1 board, 2 sentinel
-- ARGV: 1 prefix of the names of entries, 2 "1" if it is one whole name: then also its earlier versions, if 3 is "1"
-- Returns {the sentinel or "", entries}: the latest version of each, or all versions of one in their order.
local found = {}
local function add(name, version)
  found[#found + 1] = redis.call('HGET', KEYS[1], 'e:' .. name .. ':' .. version) or nil
end
if ARGV[2] == '1' then
  local last = tonumber(redis.call('HGET', KEYS[1], 'h:' .. ARGV[1]) or '0')
  for version = ARGV[3] == '1' and 1 or math.max(last, 1), last do add(ARGV[1], version) end
else
  local all, start = redis.call('HGETALL', KEYS[1]), 'h:' .. ARGV[1]
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, #start) == start then add(string.sub(all[i], 3), all[i + 1]) end
  end
end
return {redis.call('GET', KEYS[2]) or '', found}
