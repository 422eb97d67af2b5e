"""What a handoff spends: reserved in the ledger of its run before each request, settled after it, nothing beyond."""

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
from shared.blackboard.journal import INTENT, LOST, REFUSED
from shared.blackboard.ledger import NANO, Amounts, Attempt, Ledger, Reserved, Verdict
from shared.errors import TerminalError, Unwanted
from shared.llm import Reply
from shared.llm.spending import Demand, Spending
from shared.tools import ToolError

SHORTEST_REPLY = 256
"""Tokens: a reply that would have to be shorter than this is not asked for."""

ASK_AGAIN_AFTER = 0.05
"""Seconds before the second look while other calls of the run have reserved what is left; doubled with each."""

LONGEST_PAUSE = 1.0
"""Seconds between two looks at most: so late, at worst, a call notices that there is enough again."""

FORFEIT_WITHIN = 2.0
"""Seconds that a call which was cut off may take to say so."""

_LIMITS = {"nano_usd": "cost_usd"}
"""Amounts of the ledger that go by another name in a budget."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Permit:
    """One request that may be made."""

    attempt: str
    max_output_tokens: int
    most: Amounts = field(default_factory=Amounts)
    usage: Usage | None = None

    def settle(self, usage: Usage) -> None:
        """It was answered and took this much."""
        self.usage = usage


@dataclass(slots=True)
class BudgetReservation:
    """The spending of one handoff. Its calls go by their names in the journal."""

    handoff: Handoff
    counter: UsageCounter
    ledger: Ledger
    journal: Journal
    _requests: int = field(default=0)
    _attempts: dict[str, str] = field(default_factory=dict)
    _unsettled: set[str] = field(default_factory=set)

    def recall(self) -> None:
        """Count what earlier deliveries of this handoff have used, as the journal has it."""
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
                self.counter.add_tool_call()

    def is_own(self, name: str, *, otherwise: bool) -> bool:
        """True for an entry that was written in this try; `otherwise` for one of a version that noted no try."""
        tried = (self.journal.about(name) or {}).get("try")
        return otherwise if tried is None else bool(tried == self.handoff.tries)

    async def close(self) -> None:
        """Count what the ledger has of this work and the journal lacks: what workers that ended had under way."""
        for attempt in await self.ledger.close(self.handoff.idempotency_key, self.journal.epoch):
            await self._count_unrecorded(attempt)

    def attempt_at(self, name: str) -> str:
        """The attempt at the call that was paid for last in this delivery; empty if there was none."""
        return self._attempts.get(name, "")

    def spending(self, name: str) -> Spending:
        """What every request for this call has to pass."""

        @asynccontextmanager
        async def spending(demand: Demand) -> AsyncIterator[_Permit]:
            permit = await self._permit(name, demand)
            try:
                yield permit
            except BaseException:
                await self._unanswered(name, permit)
                raise
            await self._settle(name, permit)

        return spending

    async def settle_recorded(self, name: str, attempt: str, usage: Usage, *, replayed: bool) -> None:
        """The journal has the call: whoever made it may have been unable to settle it."""
        if replayed or name in self._unsettled:
            await self.ledger.settle(self._call(name), attempt, Amounts.of(usage))

    async def before_tool_call(self, name: str) -> None:
        """Count a tool call that is about to be made. Raises ToolError `budget_exhausted`, and Unwanted."""
        call, one, attempt = self._call(name), Amounts(tool_calls=1), str(self.journal.epoch)
        said = await self.ledger.take(call, attempt, one)
        if said.lost is not None:
            await self._count_unrecorded(said.lost)
        _check_wanted(said)
        if said.verdict is not Verdict.GRANTED:
            raise ToolError("budget_exhausted", _why(said), suggested_action="answer with what you have")
        self._attempts[name] = attempt

    async def claim_call(self, name: str, digest: str, *, permitted: bool, instead_of: str = "") -> str | None:
        """The other work of the run that has begun an equal call; None, and it is this one's, when there is none.

        `instead_of`: the place of a call whose outcome is known.
        """
        held = await self.ledger.claim(digest, self._call(name), force=permitted, instead_of=instead_of)
        return held if held and not held.startswith(f"{self.handoff.idempotency_key}/") else None

    async def release_call(self, name: str, digest: str) -> None:
        """Let other work of the run make the call."""
        await self.ledger.release(digest, self._call(name))

    async def _permit(self, name: str, demand: Demand) -> _Permit:
        """Wait until the request fits, with as long a reply as fits.

        Raises TerminalError `budget_exhausted`, and Unwanted when the run stops awaiting the handoff meanwhile.
        """
        self._requests += 1
        looks = 0
        permit = _Permit(f"{self.journal.epoch}.{self._requests}", demand.max_output_tokens)
        while True:
            most = _most(demand, permit.max_output_tokens)
            said = await self.ledger.reserve(self._call(name), permit.attempt, most)
            if said.lost is not None:
                await self._count_unrecorded(said.lost)
            _check_wanted(said)
            if said.verdict is Verdict.GRANTED:
                permit.most = most
                return permit
            if said.verdict is Verdict.WAIT:
                await demand.pause(_pause(looks))
                looks += 1
                continue
            permit.max_output_tokens = min(_longest_reply(said, demand), permit.max_output_tokens - 1)
            if permit.max_output_tokens < SHORTEST_REPLY:
                raise TerminalError(_why(said), code="budget_exhausted")

    async def _count_unrecorded(self, lost: Attempt) -> None:
        name = lost.call.removeprefix(f"{self.handoff.idempotency_key}/")
        if not self._is_recorded(name, lost.attempt):
            log.warning("unrecorded_attempt_counted", call=name, attempt=lost.attempt, tokens=lost.cost.tokens)
            await self._count_lost(name, lost.attempt, lost.cost)

    def _is_recorded(self, name: str, attempt: str) -> bool:
        """True for an attempt that the journal has, or will have once a person has said how its call ended."""
        if f"{name}{LOST}{attempt}" in self.journal:
            return True
        if name not in self.journal:
            return name + INTENT in self.journal
        entry = self.journal[name]
        about = entry if isinstance(entry, dict) else self.journal.about(name) or {}
        return about.get("attempt", "") in ("", attempt)

    async def _count_lost(self, name: str, attempt: str, cost: Amounts) -> None:
        """Record an attempt that has no reply or result in the journal, and count it in this try."""
        await self.journal.write(f"{name}{LOST}{attempt}", {"try": self.handoff.tries, "lost": list(cost)})
        self.counter.usage += cost.usage

    async def _settle(self, name: str, permit: _Permit) -> None:
        assert permit.usage is not None, "it was answered"
        self._attempts[name] = permit.attempt
        try:
            await self.ledger.settle(self._call(name), permit.attempt, Amounts.of(permit.usage))
        except OUTAGES:  # the reply is paid for and must reach the journal: it is settled with that
            self._unsettled.add(name)
            log.warning("a call is settled later", call=name)

    async def _unanswered(self, name: str, permit: _Permit) -> None:
        """Count a request without a reply: what it is known to have cost, or the most it can have cost.

        The ledger comes first: what the journal cannot take is found there, when the work is answered at the latest.
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


def _pause(looks: int) -> float:
    """Seconds until the next look: with jitter, so that the calls of a run do not all look at once."""
    longest = min(LONGEST_PAUSE, ASK_AGAIN_AFTER * 2 ** min(looks, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 -- jitter


def _try_of(entry: Any) -> int | None:
    return entry.get("try") if isinstance(entry, dict) else None


def _is_tool_call(name: str) -> bool:
    return "/call-" in f"/{name}" and LOST not in name and not name.endswith((INTENT, REFUSED))


def _check_wanted(said: Reserved) -> None:
    if said.verdict is Verdict.UNWANTED:
        raise Unwanted("the run does not await this handoff")


def _most(demand: Demand, output_tokens: int) -> Amounts:
    """The most a request can cost: no tokenizer makes more tokens than there are bytes."""
    dollars = demand.price.cost_usd(demand.request_bytes, output_tokens)
    usage = Usage(prompt_tokens=demand.request_bytes, completion_tokens=output_tokens, cost_usd=dollars, model_calls=1)
    return Amounts.of(usage)


def _longest_reply(said: Reserved, demand: Demand) -> int:
    """Tokens a reply may have so that the request fits into what is left; 0 when none would."""
    match said.what:
        case "output_tokens":
            return said.left
        case "tokens":
            return said.left - demand.request_bytes
        case "nano_usd" if demand.price.completion > 0:
            left = said.left / NANO - demand.price.cost_usd(demand.request_bytes, 0)
            return int(left / demand.price.cost_usd(0, 1))  # how many such tokens that pays for
    return 0


def _why(said: Reserved) -> str:
    limit = _LIMITS.get(said.what, said.what)
    left = said.left / NANO if said.what == "nano_usd" else said.left
    budget = f"budget.{limit}" if said.whose == "run" else f"the tenant's {limit} of today"
    return f"{budget} leaves {max(left, 0):g}, too little for another call"
