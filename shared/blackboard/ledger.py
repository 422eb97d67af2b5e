"""Budget ledger of runs and tenants, shared by all services and parallel steps.

A call reserves its maximum cost before it is made and settles its actual cost once that is in its journal. The limits
therefore hold under any failure: a reservation that was never settled counts as spent when the call is retried; a call
settled twice counts once. The ledger keeps the cost of each attempt, because the journal lacks it if a worker ended
between the call and the journal write.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from schemas.budget import Budget, DayBudget, Usage
from shared.blackboard import keys
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel
from shared.errors import Fenced, RetryableError
from shared.runs import ENDS

_RESERVE = script("reserve", using=("expire", "unhold", "lose", "overdue", "attempted"))
_SETTLE = script("settle", using=("expire", "unhold"))
_FORFEIT, _CLOSE = script("forfeit", using=("unhold", "lose")), script("close", using=("unhold", "lose", "attempted"))

_OCCUPY = script("occupy")

LEASE = 3_600.0
"""Default seconds after which a reservation that was neither settled nor forfeited counts as spent."""

_ENDS = " ".join(f'"{state}"' for state in sorted(ENDS))
"""Terminal states, quoted as in the field `state` of a run."""

NANO = 1_000_000_000
"""Money is counted in billionths of a US dollar: a token of the cheapest models costs a few dozen of them."""


class Amounts(NamedTuple):
    """Cost of a call, actual or maximum. Integers, so that sums are exact."""

    tokens: int = 0
    """Prompt and completion tokens together."""
    output_tokens: int = 0
    nano_usd: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    @classmethod
    def of(cls, usage: Usage) -> "Amounts":
        """Convert usage, with money rounded up."""
        return cls(
            tokens=usage.prompt_tokens + usage.completion_tokens,
            output_tokens=usage.completion_tokens,
            nano_usd=_nano(usage.cost_usd),
            model_calls=usage.model_calls,
            tool_calls=usage.tool_calls,
        )

    def plus(self, other: "Amounts") -> "Amounts":
        """Return the sum of both."""
        return Amounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def usage(self) -> Usage:
        """Return the same amounts as usage."""
        return Usage(
            prompt_tokens=self.tokens - self.output_tokens,
            completion_tokens=self.output_tokens,
            cost_usd=self.nano_usd / NANO,
            model_calls=self.model_calls,
            tool_calls=self.tool_calls,
        )


class ReservationStatus(StrEnum):
    """Answer of the ledger to a reservation."""

    GRANTED = "granted"
    WAIT = "wait"
    """Calls in progress have reserved the remainder; some of it may be released."""
    REFUSED = "refused"
    """The remaining budget is too small."""
    UNWANTED = "unwanted"
    """The run does not await the handoff that the call is made for."""


class Attempt(NamedTuple):
    """One attempt at a call and its cost: as settled, or its whole reservation if the outcome is unknown."""

    call: str
    attempt: str
    cost: Amounts

    @classmethod
    def read(cls, call: str, attempt: str, cost: str) -> "Attempt":
        """Parse an attempt as stored in the ledger."""
        return cls(call, attempt, Amounts(*map(int, cost.split())))


class Reserved(NamedTuple):
    """The ledger's reply to a reservation."""

    status: ReservationStatus
    whose: str
    """Scope of the limit that was hit, `run` or `tenant`; empty when granted."""
    what: str
    """Field name of the amount whose limit was hit; empty when granted."""
    left: int
    """Remainder of that amount."""
    lost: Attempt | None
    """The previous attempt, which counts as spent; reported once. The journal may already have it."""


class RunLedger(NamedTuple):
    """Totals of a run, its settled calls (name → attempt), and its calls that act on outside systems."""

    calls: Mapping[str, str] = {}
    spent: Amounts = Amounts()
    acting: Mapping[str, str] = {}
    """Digest → place of a call that was made, or may have been made."""


class Ledger:
    """Ledger of one run, within that of its tenant.

    With a handoff, every reservation also checks that the run still awaits that handoff.
    """

    def __init__(
        self,
        sentinel: Sentinel,
        tenant: str,
        run_id: str,
        limits: Budget,
        day: DayBudget,
        ttl: float,
        handoff_id: str = "",
        lease: float = LEASE,
    ) -> None:
        self._sentinel = sentinel
        self._keys = [keys.ledger(tenant, run_id), keys.tenant_ledger(tenant), keys.SENTINEL]
        self._run = keys.run(tenant, run_id)
        self._handoff_id = handoff_id
        self._lease = int(lease) + 1
        self._limits = [*_limits(limits), *_day_limits(day)]
        self._ttl = int(ttl * 1000)

    async def reserve(self, call: str, attempt: str, most: Amounts) -> Reserved:
        """Reserve the maximum cost of a call. Idempotent for the same attempt.

        Raises BlackboardLost, Fenced if a worker with a higher fencing epoch has made an attempt, and RetryableError
        `unknown_run` if the blackboard has no such run.
        """
        return await self._reserve(call, attempt, most, "held")

    async def take(self, call: str, attempt: str, cost: Amounts) -> Reserved:
        """Reserve and settle a known cost in one step. Raises as `reserve` does."""
        return await self._reserve(call, attempt, cost, "spent")

    async def _reserve(self, call: str, attempt: str, amounts: Amounts, becomes: str) -> Reserved:
        about: list[str | int] = [self._sentinel.generation, self._ttl, call, attempt, becomes]
        amount: list[str | int] = [len(amounts), *Amounts._fields, *amounts, *self._limits]
        arguments = [*about, self._handoff_id, _ENDS, self._lease, *amount]
        said = await self._sentinel.scripts.run(_RESERVE, [*self._keys, self._run], arguments)
        verdict, whose, what, left, lost = said
        if verdict == "lost":
            self._sentinel.mark_lost()
        if verdict == "fenced":
            raise Fenced(f"{call} was taken over by another worker")
        if verdict == "unknown":
            raise unknown_run(self._run)
        return Reserved(ReservationStatus(verdict), whose, what, int(left), Attempt.read(call, *lost) if lost else None)

    async def settle(self, call: str, attempt: str, cost: Amounts) -> None:
        """Replace the reservation by the actual cost. Idempotent. Raises BlackboardLost."""
        about: list[str | int] = [self._sentinel.generation, self._ttl, call, attempt, len(cost)]
        said = await self._sentinel.scripts.run(_SETTLE, [*self._keys, self._run], [*about, *Amounts._fields, *cost])
        if said == "lost":
            self._sentinel.mark_lost()

    async def forfeit(self, call: str, attempt: str) -> None:
        """Count the reservation as spent, because the outcome of the request is unknown. Raises BlackboardLost."""
        arguments: list[str | int] = [self._sentinel.generation, call, attempt, *Amounts._fields]
        if await self._sentinel.scripts.run(_FORFEIT, self._keys, arguments) == "lost":
            self._sentinel.mark_lost()

    async def close(self, work: str, epoch: int) -> list[Attempt]:
        """Count all reservations of this work's calls as spent, and return all attempts at them.

        Attempts of a worker with a higher fencing epoch are not touched. Raises BlackboardLost.
        """
        arguments: list[str | int] = [self._sentinel.generation, f"{work}/", epoch, *Amounts._fields]
        verdict, listed = await self._sentinel.scripts.run(_CLOSE, self._keys, arguments)
        if verdict == "lost":
            self._sentinel.mark_lost()
        return [Attempt.read(*each) for each in zip(*[iter(listed)] * 3, strict=True)]

    async def claim(self, digest: str, place: str, *, force: bool = False, instead_of: str = "") -> str | None:
        """Claim the call's digest for this place; return the other place if an equal call was already started there.

        `force`: claim it in any case. `instead_of`: a place that may be replaced. Raises BlackboardLost.
        """
        return await self._occupy(digest, place, "force" if force else "claim", instead_of) or None

    async def release(self, digest: str, place: str) -> None:
        """Release the claim, because the call was not made. Raises BlackboardLost."""
        await self._occupy(digest, place, "release")

    async def _occupy(self, digest: str, place: str, what: str, instead_of: str = "") -> str:
        arguments = [self._sentinel.generation, digest, place, what, instead_of]
        verdict, held = await self._sentinel.scripts.run(_OCCUPY, [self._keys[0], keys.SENTINEL], arguments)
        if verdict == "lost":
            self._sentinel.mark_lost()
        return str(held)

    async def read_spent(self) -> Amounts:
        """Return the amounts the run has spent."""
        found = await self._sentinel.client.hmget(self._keys[0], [f"spent:{name}" for name in Amounts._fields])
        return Amounts(*(int(each or 0) for each in found))


def unknown_run(run: str) -> RetryableError:
    """Return the error for a run that is not on the blackboard (perhaps a rebuild has not restored it yet)."""
    return RetryableError(f"the blackboard has no run {run}", code="unknown_run")


def _nano(usd: float) -> int:
    """Return billionths, rounded up; floating-point noise below a thousandth of a billionth is ignored."""
    return -int(-round(usd * NANO, 3) // 1)


def _limits(budget: Budget) -> Amounts:
    return Amounts(
        tokens=budget.tokens,
        output_tokens=budget.output_tokens,
        nano_usd=round(budget.cost_usd * NANO),
        model_calls=budget.model_calls,
        tool_calls=budget.tool_calls,
    )


def _day_limits(day: DayBudget) -> list[int]:
    """Return the limits of a tenant's day as a list of amounts; -1 means no limit."""
    none = -1
    return [
        none if day.tokens is None else day.tokens,
        none,
        none if day.cost_usd is None else round(day.cost_usd * NANO),
        none if day.model_calls is None else day.model_calls,
        none,
    ]


def ledger_fields(ledger: RunLedger) -> dict[str, str]:
    """Return a run's ledger as blackboard fields, without reservations."""
    spent = {f"spent:{name}": str(amount) for name, amount in ledger.spent._asdict().items()}
    acting = {f"act:{digest}": place for digest, place in ledger.acting.items()}
    return spent | acting | {f"call:{call}": f"spent {attempt}" for call, attempt in ledger.calls.items()}
