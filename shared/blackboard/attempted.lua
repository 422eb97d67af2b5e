-- Parse a call's entry in the ledger. ARGV: 1 the entry
-- Returns {state, attempt, amounts}: "held", "lost" or "spent", and the actual or maximum cost of that attempt, separated
-- by spaces; empty if the ledger was rebuilt from journals, or written by a version that kept no amounts of settled calls.
local state, rest = string.match(ARGV[1], '^(%a+) (.*)$')
if state == 'spent' then
  local attempt, amounts = string.match(rest, '^(%S*) ?(.*)$')
  return {state, attempt, amounts}
end
local reserved, amounts = cjson.decode(rest), {}
for i, amount in ipairs(reserved.amounts) do amounts[i] = string.format('%.0f', amount) end
return {state, reserved.attempt, table.concat(amounts, ' ')}
