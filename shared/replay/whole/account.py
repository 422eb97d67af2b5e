"""Budget of a branch, counted in memory with the limits of the run. No tenant is charged."""

from dataclasses import dataclass, field

from schemas.step import Handoff
from shared.blackboard.ledger import NANO, Amounts, Attempt, Ledger, ReservationStatus, Reserved


@dataclass(slots=True)
class Account:
    """Spent and reserved amounts of a branch, and the calls that it has claimed."""

    spent: dict[str, Amounts] = field(default_factory=dict)
    held: dict[str, Amounts] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)


class BranchLedger(Ledger):
    """The ledger of one handoff of a branch."""

    def __init__(self, account: Account, handoff: Handoff) -> None:
        self._account = account
        most = handoff.budget or handoff.budget_left
        dollars = round(most.cost_usd * NANO)
        self._most = Amounts(most.tokens, most.output_tokens, dollars, most.model_calls, most.tool_calls)

    async def reserve(self, call: str, attempt: str, most: Amounts) -> Reserved:
        """Reserve the largest cost of a request."""
        return self._reserved(f"{call}#{attempt}", most, self._account.held)

    async def take(self, call: str, attempt: str, cost: Amounts) -> Reserved:
        """Reserve and settle a known cost in one step."""
        return self._reserved(f"{call}#{attempt}", cost, self._account.spent)

    async def settle(self, call: str, attempt: str, cost: Amounts) -> None:
        """Replace the reservation by the cost."""
        self._account.held.pop(f"{call}#{attempt}", None)
        self._account.spent[f"{call}#{attempt}"] = cost

    async def forfeit(self, call: str, attempt: str) -> None:
        """Count the whole reservation as spent."""
        key = f"{call}#{attempt}"
        if key in self._account.held:
            self._account.spent[key] = self._account.held.pop(key)

    async def close(self, work: str, epoch: int) -> list[Attempt]:
        """Return no attempt: each one is in the journal."""
        return []

    async def claim(self, digest: str, place: str, *, force: bool = False, instead_of: str = "") -> str | None:
        """Claim the call for this place; return the other place if an equal call was started there."""
        held = self._account.claims.setdefault(digest, place)
        if force or held == instead_of:
            held = self._account.claims[digest] = place
        return None if held == place else held

    async def release(self, digest: str, place: str) -> None:
        """Release the claim."""
        if self._account.claims.get(digest) == place:
            del self._account.claims[digest]

    def _reserved(self, key: str, cost: Amounts, into: dict[str, Amounts]) -> Reserved:
        spent, held = (_sum(each) for each in (self._account.spent, self._account.held))
        for name, wanted, used, open_, most in zip(Amounts._fields, cost, spent, held, self._most, strict=True):
            if wanted and used + open_ + wanted > most:
                waits = open_ and used + wanted <= most
                status = ReservationStatus.WAIT if waits else ReservationStatus.REFUSED
                return Reserved(status, "run", name, most - used - open_, None)
        into[key] = cost
        return Reserved(ReservationStatus.GRANTED, "", "", 0, None)


def _sum(amounts: dict[str, Amounts]) -> Amounts:
    total = Amounts()
    for each in amounts.values():
        total = total.plus(each)
    return total
