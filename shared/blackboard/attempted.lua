-- Read how a call stands in the ledger. ARGV: 1 what the ledger has of the call
-- Returns {state, attempt, amounts}: "held", "lost" or "spent", and what that attempt has cost or may cost, separated by
-- spaces; empty where the ledger was made again from journals, or by a version that kept no amounts of a settled call.
local state, rest = string.match(ARGV[1], '^(%a+) (.*)$')
if state == 'spent' then
  local attempt, amounts = string.match(rest, '^(%S*) ?(.*)$')
  return {state, attempt, amounts}
end
local reserved, amounts = cjson.decode(rest), {}
for i, amount in ipairs(reserved.amounts) do amounts[i] = string.format('%.0f', amount) end
return {state, reserved.attempt, table.concat(amounts, ' ')}
