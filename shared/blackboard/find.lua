-- Find runs in a slice of a set of the tenant's runs, newest first.
-- KEYS: 1 the set, 2 index of the tenant's runs
-- ARGV: 1 entries of the set to skip, 2, 3 start time and id of the run after which to continue (empty: the first), 4, 5 start
--       times between which to look, 6 length of the slice, 7 most runs to find, 8 the format, 9, 10 a run's key, in parts around
--       its id, 11 latest time of an open question ("": any, or none); then three lists, each after its length: tags that a run
--       must have; tags of which it must have one; or else ids of which it must be one
-- Returns {time, id, entries, found, outdated}: the last entry examined ("", "" if none is left); the number of entries
-- examined, without those removed; {id, row, …}; and ids of runs whose entries in the index must be replaced before they can be
-- judged. Runs without a record are removed from the index.
local set, runs, at = KEYS[1], KEYS[2], 12
local function list()
  local items, length = {}, tonumber(ARGV[at])
  for i = 1, length do items[i] = ARGV[at + i] end
  at = at + length + 1
  return items
end
local all, any, ids = list(), list(), list()
local filtered = ARGV[11] ~= '' or #all + #any + #ids > 0
local listed = {}
for _, id in ipairs(ids) do listed[id] = true end
for _, tags in ipairs({all, any}) do
  for i, tag in ipairs(tags) do tags[i] = ' ' .. tag .. ' ' end
end
local function matches(id, marks)
  if not filtered then return true end
  if not marks then return false end
  for _, tag in ipairs(all) do
    if not string.find(marks, tag, 1, true) then return false end
  end
  if ARGV[11] ~= '' then
    local asked = tonumber(string.match(marks, '^[^ ]* [^ ]* [^ ]* ([^ \n]*)'))
    if not asked or asked > tonumber(ARGV[11]) then return false end
  end
  if #any + #ids == 0 or listed[id] then return true end
  for _, tag in ipairs(any) do
    if string.find(marks, tag, 1, true) then return true end
  end
  return false
end
local function between(latest, earliest, skipped, most, ...)
  return redis.call('ZRANGE', set, latest, earliest, 'BYSCORE', 'REV', 'LIMIT', skipped, most, ...)
end
local latest, skipped, length = ARGV[5], tonumber(ARGV[1]), tonumber(ARGV[6])
if ARGV[2] ~= '' then  -- runs that started at the same time as the last one, and come before it or are it
  latest = ARGV[2]
  local equal, n = between(latest, latest, skipped, length), 0
  while equal[n + 1] and equal[n + 1] >= ARGV[3] do
    n, skipped = n + 1, skipped + 1
    if n == #equal then equal, n = between(latest, latest, skipped, length), 0 end
  end
end
local slice = between(latest, ARGV[4], skipped, length + 1)
local more = #slice > length
if more then slice[#slice] = nil end
local marks = #slice > 0 and redis.call('HMGET', runs .. ':marks', unpack(slice)) or {}
local found, outdated, gone, entries = {}, {}, {}, 0
for i, id in ipairs(slice) do
  if #found / 2 + #outdated >= tonumber(ARGV[7]) then
    more = true
    break
  end
  entries = i
  if matches(id, marks[i]) then
    local version = redis.call('HGET', ARGV[9] .. id .. ARGV[10], 'version')
    local head = ARGV[8] .. ' ' .. (version or '') .. ' '
    if not version then
      gone[#gone + 1] = id
    elseif string.sub(marks[i] or '', 1, #head) ~= head then
      outdated[#outdated + 1] = id
    else
      found[#found + 1] = id
      found[#found + 1] = redis.call('HGET', runs .. ':rows', id)
    end
  end
end
local last = more and between(latest, ARGV[4], skipped + entries - 1, 1, 'WITHSCORES') or {}
for _, id in ipairs(gone) do unindex({runs}, {id}) end
return {last[2] or '', last[1] or '', entries - #gone, found, outdated}
