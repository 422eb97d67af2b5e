"""Budget of one handoff: each request reserves its largest cost in the run's ledger, and settles its actual cost."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from schemas.budget import Usage
from schemas.step import Handoff
from shared.agent.spending.usage import UsageCounter
from shared.blackboard import OUTAGES, Journal
from shared.blackboard.journal import INTENT, LOST, NOT_A_CALL
from shared.blackboard.ledger import NANO, Amounts, Attempt, Ledger, ReservationStatus, Reserved
from shared.errors import TerminalError, Unwanted
from shared.llm import Reply
from shared.llm.spending import Demand, Spending
from shared.tools import ToolError

SHORTEST_REPLY = 256
"""Tokens. A request with room for less is not sent."""

FIRST_PAUSE = 0.05
"""Seconds before the first retry while other calls of the run hold the rest of the budget. Doubled each time."""

LONGEST_PAUSE = 1.0
"""Seconds between two retries at most, and so the longest delay until a waiting call notices free budget."""

FORFEIT_WITHIN = 2.0
"""Seconds that a cancelled call may take to record its cost."""

_LIMITS = {"nano_usd": "cost_usd"}
"""Amounts of the ledger that have another name in a budget."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Permit:
    """Permission for one request."""

    attempt: str
    max_output_tokens: int
    most: Amounts = field(default_factory=Amounts)
    usage: Usage | None = None

    def settle(self, usage: Usage) -> None:
        """Set the actual usage of the answered request."""
        self.usage = usage


@dataclass(slots=True)
class BudgetReservation:
    """The reservations of one handoff. A call is identified by the name of its journal entry."""

    handoff: Handoff
    counter: UsageCounter
    ledger: Ledger
    journal: Journal
    _requests: int = field(default=0)
    _attempts: dict[str, str] = field(default_factory=dict)
    _unsettled: set[str] = field(default_factory=set)

    def recall(self) -> None:
        """Count the usage of earlier deliveries of this handoff, from the journal."""
        entries = {name: entry for name, entry in self.journal.entries().items() if entry is not None}
        own = {name: each for name, each in entries.items() if _try_of(each) == self.handoff.tries}
        for name, entry in own.items():
            if LOST in name:
                self.counter.usage += Amounts(*entry["lost"]).usage
            elif "reply" in entry:
                self.counter.add_model_call(Reply.model_validate(entry["reply"]))
        for name in filter(_is_tool_call, entries):
            turn = name.rpartition("call-")[0].rstrip("/")
            older = turn in own or (self.handoff.tries == 1 and turn not in entries)
            if self.is_own(name, otherwise=older):
                self.counter.add_tool_call((self.journal.about(name) or {}).get("price", 0.0))

    def is_own(self, name: str, *, otherwise: bool) -> bool:
        """Return True for an entry written in this try; `otherwise` for one of a version that recorded no try."""
        tried = (self.journal.about(name) or {}).get("try")
        return otherwise if tried is None else bool(tried == self.handoff.tries)

    async def close(self) -> None:
        """Count the attempts of workers that died: the ledger has them, the journal does not."""
        for attempt in await self.ledger.close(self.handoff.idempotency_key, self.journal.epoch):
            await self._count_unrecorded(attempt)

    def attempt_at(self, name: str) -> str:
        """Return the latest charged attempt at the call in this delivery; empty if there was none."""
        return self._attempts.get(name, "")

    def spending(self, name: str) -> Spending:
        """Return the context manager that reserves and settles each request for this call."""

        @asynccontextmanager
        async def spending(demand: Demand) -> AsyncIterator[_Permit]:
            permit = await self._permit(name, demand)
            try:
                yield permit
            except BaseException:
                await self._count_unanswered(name, permit)
                raise
            await self._settle(name, permit)

        return spending

    async def settle_recorded(self, name: str, attempt: str, usage: Usage, *, replayed: bool) -> None:
        """Settle a call that is in the journal. Skipped if it was made in this delivery and settled then."""
        if replayed or name in self._unsettled:
            await self.ledger.settle(self._call(name), attempt, Amounts.of(usage))

    async def before_tool_call(self, name: str, price: float = 0.0) -> None:
        """Charge a tool call about to be made, and its price. Raises ToolError `budget_exhausted`, and Unwanted."""
        one = Amounts.of(Usage(tool_calls=1, cost_usd=price))
        call, attempt = self._call(name), str(self.journal.epoch)
        reserved = await self.ledger.take(call, attempt, one)
        if reserved.lost is not None:
            await self._count_unrecorded(reserved.lost)
        _check_wanted(reserved)
        if reserved.status is not ReservationStatus.GRANTED:
            raise ToolError("budget_exhausted", _explain(reserved), suggested_action="answer with what you have")
        self._attempts[name] = attempt

    async def claim_call(self, name: str, digest: str, *, permitted: bool, instead_of: str = "") -> str | None:
        """Claim the call for this work. Return the other work that has started an equal call, or None if claimed.

        `permitted`: claim it in any case. `instead_of`: place of an earlier call with a known outcome.
        """
        held = await self.ledger.claim(digest, self._call(name), force=permitted, instead_of=instead_of)
        return held if held and not held.startswith(f"{self.handoff.idempotency_key}/") else None

    async def release_call(self, name: str, digest: str) -> None:
        """Release the claim, so that other work of the run can make the call."""
        await self.ledger.release(digest, self._call(name))

    async def _permit(self, name: str, demand: Demand) -> _Permit:
        """Wait until the request fits, and return a permit for the longest reply that fits.

        Raises TerminalError `budget_exhausted`, and Unwanted when the run stops awaiting the handoff meanwhile.
        """
        self._requests += 1
        retries = 0
        permit = _Permit(f"{self.journal.epoch}.{self._requests}", demand.max_output_tokens)
        while True:
            most = _most(demand, permit.max_output_tokens)
            reserved = await self.ledger.reserve(self._call(name), permit.attempt, most)
            if reserved.lost is not None:
                await self._count_unrecorded(reserved.lost)
            _check_wanted(reserved)
            if reserved.status is ReservationStatus.GRANTED:
                permit.most = most
                return permit
            if reserved.status is ReservationStatus.WAIT:
                await demand.pause(_pause(retries))
                retries += 1
                continue
            permit.max_output_tokens = min(_longest_reply(reserved, demand), permit.max_output_tokens - 1)
            if permit.max_output_tokens < SHORTEST_REPLY:
                raise TerminalError(_explain(reserved), code="budget_exhausted")

    async def _count_unrecorded(self, lost: Attempt) -> None:
        name = lost.call.removeprefix(f"{self.handoff.idempotency_key}/")
        if not self._is_recorded(name, lost.attempt):
            log.warning("unrecorded_attempt_counted", call=name, attempt=lost.attempt, tokens=lost.cost.tokens)
            await self._count_lost(name, lost.attempt, lost.cost)

    def _is_recorded(self, name: str, attempt: str) -> bool:
        """Return True for an attempt that is in the journal, or whose call waits for an operator's resolution."""
        if f"{name}{LOST}{attempt}" in self.journal:
            return True
        if name not in self.journal:
            return name + INTENT in self.journal
        entry = self.journal[name]
        about = entry if isinstance(entry, dict) else self.journal.about(name) or {}
        return about.get("attempt", "") in ("", attempt)

    async def _count_lost(self, name: str, attempt: str, cost: Amounts) -> None:
        """Record an attempt without a reply or result, and count it in this try."""
        await self.journal.write(f"{name}{LOST}{attempt}", {"try": self.handoff.tries, "lost": list(cost)})
        self.counter.usage += cost.usage

    async def _settle(self, name: str, permit: _Permit) -> None:
        assert permit.usage is not None, "an answered request has a usage"
        self._attempts[name] = permit.attempt
        try:
            await self.ledger.settle(self._call(name), permit.attempt, Amounts.of(permit.usage))
        except OUTAGES:  # the reply must reach the journal first; it is settled together with its entry
            self._unsettled.add(name)
            log.warning("budget_settle_deferred", call=name)

    async def _count_unanswered(self, name: str, permit: _Permit) -> None:
        """Count a request without a reply at its known cost, or else at its largest possible cost.

        The ledger is updated first: `close` finds attempts there that could not be written to the journal.
        """
        if permit.usage is not None:
            await self._settle(name, permit)
        else:
            with suppress(TimeoutError, *OUTAGES):
                async with asyncio.timeout(FORFEIT_WITHIN):
                    await self.ledger.forfeit(self._call(name), permit.attempt)
        cost = permit.most if permit.usage is None else Amounts.of(permit.usage)
        if not any(cost):
            return
        with suppress(TimeoutError, *OUTAGES, KafkaError):
            async with asyncio.timeout(FORFEIT_WITHIN):
                await self._count_lost(name, permit.attempt, cost)

    def _call(self, name: str) -> str:
        return f"{self.handoff.idempotency_key}/{name}"


def _pause(retries: int) -> float:
    """Return the seconds until the next retry, with jitter, so that the calls of a run do not retry together."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(retries, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 -- jitter


def _try_of(entry: Any) -> int | None:
    return entry.get("try") if isinstance(entry, dict) else None


def _is_tool_call(name: str) -> bool:
    return "/call-" in f"/{name}" and LOST not in name and not name.endswith(NOT_A_CALL)


def _check_wanted(reserved: Reserved) -> None:
    if reserved.status is ReservationStatus.UNWANTED:
        raise Unwanted("the run does not await this handoff")


def _most(demand: Demand, output_tokens: int) -> Amounts:
    """Return the largest possible cost of a request. No tokenizer produces more tokens than bytes."""
    dollars = demand.price.cost_usd(demand.request_bytes, output_tokens)
    usage = Usage(prompt_tokens=demand.request_bytes, completion_tokens=output_tokens, cost_usd=dollars, model_calls=1)
    return Amounts.of(usage)


def _longest_reply(reserved: Reserved, demand: Demand) -> int:
    """Return the tokens of the longest reply that fits into the remaining budget; 0 if none fits."""
    match reserved.what:
        case "output_tokens":
            return reserved.left
        case "tokens":
            return reserved.left - demand.request_bytes
        case "nano_usd" if demand.price.completion > 0:
            left = reserved.left / NANO - demand.price.cost_usd(demand.request_bytes, 0)
            return int(left / demand.price.cost_usd(0, 1))  # tokens that the remaining dollars pay for
    return 0


def _explain(reserved: Reserved) -> str:
    limit = _LIMITS.get(reserved.what, reserved.what)
    left = reserved.left / NANO if reserved.what == "nano_usd" else reserved.left
    budget = f"budget.{limit}" if reserved.whose == "run" else f"the tenant's {limit} of today"
    return f"{budget} leaves {max(left, 0):g}, too little for another call"
