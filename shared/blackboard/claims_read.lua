-- Read the claims of a tenant that have not ended, together with the sentinel.
-- KEYS: 1 claims of the tenant, 2 sentinel
-- ARGV: 1 prefix of the keys of runs, 2 resource ("": all)
-- Returns {the sentinel or "", claims}.
local time = redis.call('TIME')
local clock = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local found = {}
local names = ARGV[2] == '' and redis.call('HKEYS', KEYS[1]) or {'c:' .. ARGV[2]}
for _, name in ipairs(names) do
  if string.sub(name, 1, 2) == 'c:' then
    local held = holder({KEYS[1]}, {string.sub(name, 3), ARGV[1], clock})
    if held then found[#found + 1] = held[1] end
  end
end
return {redis.call('GET', KEYS[2]) or '', found}
