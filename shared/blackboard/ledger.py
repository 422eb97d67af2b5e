"""What runs and tenants may spend, have spent, and have reserved: shared by all services and parallel steps.

A call reserves the most it can cost before it is made, and settles what it has cost once that is in its journal. So the
limits hold whatever happens in between: a call that was never settled is spent as it was reserved, as soon as the same
call is tried again; a call that is settled twice is spent once. What each attempt has cost is kept with the call: the
journal of its work may lack it, if a worker has ended between the two.
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
"""Seconds after which a reservation counts as spent that was neither settled nor forfeited, unless it is set."""

_ENDS = " ".join(f'"{state}"' for state in sorted(ENDS))
"""As the field `state` of a run has them."""

NANO = 1_000_000_000
"""Money is counted in billionths of a US dollar: a token of the cheapest models costs a few dozen of them."""


class Amounts(NamedTuple):
    """What a call costs, or may cost at most. Whole numbers: sums of them are exact."""

    tokens: int = 0
    """Prompt and completion tokens together."""
    output_tokens: int = 0
    nano_usd: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    @classmethod
    def of(cls, usage: Usage) -> "Amounts":
        """What was used, money rounded up."""
        return cls(
            tokens=usage.prompt_tokens + usage.completion_tokens,
            output_tokens=usage.completion_tokens,
            nano_usd=_nano(usage.cost_usd),
            model_calls=usage.model_calls,
            tool_calls=usage.tool_calls,
        )

    def plus(self, other: "Amounts") -> "Amounts":
        """Both together."""
        return Amounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def usage(self) -> Usage:
        """The same as usage."""
        return Usage(
            prompt_tokens=self.tokens - self.output_tokens,
            completion_tokens=self.output_tokens,
            cost_usd=self.nano_usd / NANO,
            model_calls=self.model_calls,
            tool_calls=self.tool_calls,
        )


class Verdict(StrEnum):
    """What the ledger says to a call."""

    GRANTED = "granted"
    WAIT = "wait"
    """Calls under way have reserved what is left; some of it may come back."""
    REFUSED = "refused"
    """Too much is spent for it."""
    UNWANTED = "unwanted"
    """The run does not await the handoff that the call is made for."""


class Attempt(NamedTuple):
    """One attempt at a call and its cost: as it was settled, or all it had reserved if its outcome is unknown."""

    call: str
    attempt: str
    cost: Amounts

    @classmethod
    def read(cls, call: str, attempt: str, cost: str) -> "Attempt":
        """An attempt as the ledger has it."""
        return cls(call, attempt, Amounts(*map(int, cost.split())))


class Reserved(NamedTuple):
    """The ledger's answer."""

    verdict: Verdict
    whose: str
    """`run` or `tenant`: whose limit is in the way; empty when granted."""
    what: str
    """The amount in the way, by the name of its field; empty when granted."""
    left: int
    """How much of it is left."""
    lost: Attempt | None
    """The attempt before this one, which counts as spent; named once. The journal may have it already."""


class RunLedger(NamedTuple):
    """What a run has spent, its calls that count as settled: name → attempt, and those that act outside it."""

    calls: Mapping[str, str] = {}
    spent: Amounts = Amounts()
    begun: Mapping[str, str] = {}
    """Digest → place of a call that was made, or may have been."""


class Ledger:
    """The ledger of one run, within that of its tenant.

    Given a handoff, every reservation also asks the run whether it still awaits that handoff.
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
        """Reserve the most a call may cost. The same attempt again is granted again.

        Raises BlackboardLost, Fenced when a worker with a higher fencing epoch has made an attempt, and RetryableError
        `unknown_run` when the blackboard does not know the run.
        """
        return await self._asked(call, attempt, most, "held")

    async def take(self, call: str, attempt: str, cost: Amounts) -> Reserved:
        """Reserve and settle at once what is known to cost exactly that. Raises as `reserve` does."""
        return await self._asked(call, attempt, cost, "spent")

    async def _asked(self, call: str, attempt: str, amounts: Amounts, becomes: str) -> Reserved:
        about: list[str | int] = [self._sentinel.generation, self._ttl, call, attempt, becomes]
        amount: list[str | int] = [len(amounts), *Amounts._fields, *amounts, *self._limits]
        arguments = [*about, self._handoff_id, _ENDS, self._lease, *amount]
        said = await self._sentinel.scripts.run(_RESERVE, [*self._keys, self._run], arguments)
        verdict, whose, what, left, lost = said
        if verdict == "lost":
            self._sentinel.doubt()
        if verdict == "fenced":
            raise Fenced(f"{call} was taken over by somebody else")
        if verdict == "unknown":
            raise unknown_run(self._run)
        return Reserved(Verdict(verdict), whose, what, int(left), Attempt.read(call, *lost) if lost else None)

    async def settle(self, call: str, attempt: str, cost: Amounts) -> None:
        """Replace what was reserved by what it has cost; once, however often it is said. Raises BlackboardLost."""
        about: list[str | int] = [self._sentinel.generation, self._ttl, call, attempt, len(cost)]
        said = await self._sentinel.scripts.run(_SETTLE, [*self._keys, self._run], [*about, *Amounts._fields, *cost])
        if said == "lost":
            self._sentinel.doubt()

    async def forfeit(self, call: str, attempt: str) -> None:
        """Take what was reserved for spent: it is not known how the request ended. Raises BlackboardLost."""
        arguments: list[str | int] = [self._sentinel.generation, call, attempt, *Amounts._fields]
        if await self._sentinel.scripts.run(_FORFEIT, self._keys, arguments) == "lost":
            self._sentinel.doubt()

    async def close(self, work: str, epoch: int) -> list[Attempt]:
        """Take everything for spent that calls of this work have reserved, and list all their attempts.

        Attempts of a worker with a higher fencing epoch are left alone. Raises BlackboardLost.
        """
        arguments: list[str | int] = [self._sentinel.generation, f"{work}/", epoch, *Amounts._fields]
        verdict, listed = await self._sentinel.scripts.run(_CLOSE, self._keys, arguments)
        if verdict == "lost":
            self._sentinel.doubt()
        return [Attempt.read(*each) for each in zip(*[iter(listed)] * 3, strict=True)]

    async def claim(self, digest: str, place: str, *, force: bool = False, instead_of: str = "") -> str | None:
        """Note that the call is made at this place; return the place at which an equal one was begun, if there is one.

        `force`: note it all the same. `instead_of`: a place that may be replaced. Raises BlackboardLost.
        """
        return await self._occupy(digest, place, "force" if force else "claim", instead_of) or None

    async def release(self, digest: str, place: str) -> None:
        """Take that back: the call was not made. Raises BlackboardLost."""
        await self._occupy(digest, place, "release")

    async def _occupy(self, digest: str, place: str, what: str, instead_of: str = "") -> str:
        arguments = [self._sentinel.generation, digest, place, what, instead_of]
        verdict, held = await self._sentinel.scripts.run(_OCCUPY, [self._keys[0], keys.SENTINEL], arguments)
        if verdict == "lost":
            self._sentinel.doubt()
        return str(held)

    async def spent(self) -> Amounts:
        """What the run has spent."""
        found = await self._sentinel.client.hmget(self._keys[0], [f"spent:{name}" for name in Amounts._fields])
        return Amounts(*(int(each or 0) for each in found))


def unknown_run(run: str) -> RetryableError:
    """The error for a run that is not, or not yet again, on the blackboard."""
    return RetryableError(f"there is no run {run}, or not yet again", code="unknown_run")


def _nano(usd: float) -> int:
    """Rounded up, but for what floating point adds below a thousandth of a billionth."""
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
    """-1: no limit."""
    none = -1
    return [
        none if day.tokens is None else day.tokens,
        none,
        none if day.cost_usd is None else round(day.cost_usd * NANO),
        none if day.model_calls is None else day.model_calls,
        none,
    ]


def ledger_fields(ledger: RunLedger) -> dict[str, str]:
    """A run's ledger as it stands on the blackboard, nothing reserved."""
    spent = {f"spent:{name}": str(amount) for name, amount in ledger.spent._asdict().items()}
    begun = {f"act:{digest}": place for digest, place in ledger.begun.items()}
    return spent | begun | {f"call:{call}": f"spent {attempt}" for call, attempt in ledger.calls.items()}
