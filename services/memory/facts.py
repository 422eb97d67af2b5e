"""Facts: turns that have ended are read in batches by the cheap model, one call a batch, within the tenant's budget.

The facts and, after them, the records that the turns are done go to the topic `memories`. A kill after the call and
before they are there repeats the call, and no other; a rebuild calls no model. What cannot be read now waits.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from schemas.memory import Memory, MemoryKind
from schemas.memory_log import MemoryKept, TurnNoted
from services.memory.fact_budget import EXHAUSTED, FactBudget
from services.memory.recording import send
from services.memory.refusals import Refusals
from services.memory.settings import MemorySettings
from services.memory.viewing import Viewer
from shared.blackboard import keys
from shared.blackboard.lock import Lock
from shared.bus import content_id
from shared.bus.groups import MEMORY
from shared.errors import RetryableError, TerminalError
from shared.llm import CONTEXT_LENGTH, Chat, ModelRole, Models
from shared.llm.failure import GARBLED, QUOTA, NotAnswered
from shared.memory import MemoryStore, Selection, Wanted, recall
from shared.memory.facts import Change, FoundFacts, Judged, found_in, judge, merged, request_of
from shared.memory.facts.merging import statement_of
from shared.memory.facts.settings import off_because
from shared.memory.selection import estimated_tokens
from shared.memory.turns import WaitingTurns
from shared.service import Parts
from shared.service.kill_switch import KillSwitch, StopScope

LOOK_EVERY = 5.0
"""Seconds between two looks for batches."""

WITHIN = 60.0
"""Seconds that a call may take."""

LONGEST_REPLY = 1_500
"""Tokens of a reply."""

SHARE = 0.5
"""Of the model's context: the request at most."""

MOST_FAILURES = 3
"""Unreadable replies and rejections of a batch after which its turns are done without facts."""

PAUSE = 60.0
"""Seconds without a call for a tenant after one that failed."""

KNOWN = 20
"""Known facts that a request shows."""

ALIKE = 5
"""Known facts that a new one is compared with, besides those shown."""

_SEMANTIC = (MemoryKind.SEMANTIC,)
_HOPELESS = {CONTEXT_LENGTH, "content_filter", "refusal"}
"""Failures that the same turns would meet once more: they are done without facts."""

log = structlog.get_logger()


@dataclass(slots=True)
class FactExtraction:
    """Reads turns for facts. Several replicas may do so: a lock on the session lets one read a batch."""

    viewer: Viewer
    turns: WaitingTurns
    models: Models
    stops: KillSwitch
    own: MemorySettings
    _paused: dict[str, float] = field(default_factory=dict)
    """Tenant → time of the monotonic clock until which no call is made for it."""
    _failures: Counter[str] = field(default_factory=Counter)
    refusals: Refusals = field(default_factory=Refusals)

    async def extract_regularly(self) -> None:
        """Read batches, without end; nothing if facts are off."""
        if why := off_because(self._parts.settings, self.own):
            log.warning("facts_are_off", reason=why)
            await asyncio.Event().wait()
        await self.stops.wait_loaded()
        while True:
            await self._parts.sentinel.wait_ready()
            await self.extract(datetime.now(UTC))
            await asyncio.sleep(LOOK_EVERY)

    async def extract(self, now: datetime) -> int:
        """Read what is due; return the number of batches that were read."""
        tenants, number = await self.viewer.view.tenants(), 0
        for tenant in tenants:
            if self._is_held(tenant):
                continue
            size, idle = self.own.memory_facts_turns, self.own.memory_facts_idle
            for session in await self.turns.due(tenant, now, size, idle, self.refusals.aside(tenant)):
                number += await self._read_alone(tenant, session)
                if self._is_held(tenant):
                    break
        self._parts.metrics.fact_turns_waiting.set(await self.turns.waiting(tenants))
        return number

    @property
    def _parts(self) -> Parts:
        return self.viewer.parts

    @property
    def _store(self) -> MemoryStore:
        return self.viewer.view.store

    def _is_held(self, tenant: str) -> bool:
        """Return True while the tenant is stopped, or has just met a failure."""
        if self._paused.get(tenant, 0.0) > time.monotonic():
            return True
        return self.stops.reason(StopScope(tenant, MEMORY, "")) is not None

    async def _read_alone(self, tenant: str, session: str) -> bool:
        """Read a batch unless another process does; return True if it was read."""
        key, ttl = keys.facts_lock(tenant, session), int((WITHIN + 30) * 1_000)
        lock = Lock(self._parts.redis, key, uuid.uuid4().hex, ttl)
        if not await lock.take():
            return False
        try:
            return await lock.during(self._read(tenant, session))
        finally:
            await lock.release()

    async def _read(self, tenant: str, session: str) -> bool:
        size = self.refusals.size(tenant, session, self.own.memory_facts_turns)
        turns = await self.turns.batch(tenant, session, size, self.refusals.aside(tenant))
        if not turns:
            return False
        batch = content_id(tenant, *(f"{turn.run_id} {turn.ended.isoformat()}" for turn in turns))
        shown = await self._shown(tenant, session, turns)
        try:
            reply = await self._ask(tenant, batch, self._request(turns, shown))
        except (RetryableError, TerminalError) as failure:
            return await self._failed(tenant, batch, turns, failure)
        self.refusals.answered(tenant, session)
        found = found_in(reply)
        if found is None:
            self._count("garbled")
            return await self._failed_itself(batch, turns, "the replies were unreadable")
        judged = judge(found, turns)
        changes = merged(judged.facts, shown, [*shown, *await self._alike(tenant, judged)])
        await self._write(turns, changes, judged)
        return True

    async def _shown(self, tenant: str, session: str, turns: Sequence[TurnNoted]) -> list[Memory]:
        """Return known facts about what the turns are about: of the session, and others."""
        now, words = datetime.now(UTC), " ".join(turn.asked for turn in turns)[:4_000]
        wanted = Wanted(KNOWN, tokens=4_000, kinds=_SEMANTIC)
        found = [each.memory for each in await recall(self._store, tenant, words, now, wanted=wanted)]
        if session:
            which = Selection(session=session, kind=MemoryKind.SEMANTIC.value)
            found += [each for each in await self._store.select(tenant, which, KNOWN) if not each.candidate]
        valid = [each for each in found if each.valid_until is None or each.valid_until > now]
        return list({each.id: each for each in valid}.values())[: KNOWN + ALIKE]

    async def _alike(self, tenant: str, judged: Judged) -> list[Memory]:
        """Return known facts and candidates that may say what the new facts say."""
        now, wanted = datetime.now(UTC), Wanted(ALIKE, kinds=_SEMANTIC, candidates=True)
        found = dict[str, Memory]()
        for fact, _ in judged.facts:
            alike = await recall(self._store, tenant, statement_of(fact), now, wanted=wanted)
            found |= {each.memory.id: each.memory for each in alike}
        return list(found.values())

    def _request(self, turns: Sequence[TurnNoted], shown: Sequence[Memory]) -> Chat:
        """Return the messages with the longest texts that fit the context; the shortest if none fit."""
        room = self.models.window(ModelRole.CHEAP).tokens * SHARE
        request: Chat = []
        for longest in (2_000, 1_000, 500, 200):
            request = request_of(turns, shown, longest)
            if sum(estimated_tokens(each["content"]) for each in request) <= room:
                break
        return request

    async def _ask(self, tenant: str, batch: str, request: Chat) -> str:
        budget = FactBudget(self._parts, self.own)
        reply = await self.stops.unless_stopped(
            StopScope(tenant, MEMORY, ""),
            self.models.chat(
                ModelRole.CHEAP,
                request,
                result=FoundFacts,
                max_output_tokens=LONGEST_REPLY,
                within=WITHIN,
                spending=budget.spending(tenant, f"facts/{batch}"),
            ),
        )
        self._parts.metrics.fact_tokens.inc(reply.usage.prompt_tokens + reply.usage.completion_tokens)
        return reply.content or ""

    async def _failed(
        self, tenant: str, batch: str, turns: Sequence[TurnNoted], failure: RetryableError | TerminalError
    ) -> bool:
        """Let the turns wait, in smaller batches if they may be the cause; end one that can only fail."""
        if failure.code in _HOPELESS and len(turns) == 1:
            await self._done(turns, failure.code)
            return True
        self._count("budget" if failure.code == EXHAUSTED else "failed")
        log.warning("facts_wait", tenant=tenant, turns=len(turns), reason=str(failure)[:300])
        refused = isinstance(failure, TerminalError) and failure.code != QUOTA
        if not (failure.code in _HOPELESS or (refused and self.refusals.are_of_content)):
            self._paused[tenant] = time.monotonic() + max(PAUSE, getattr(failure, "after", 0.0))
        if isinstance(failure, RetryableError) or not refused:
            return False
        if len(turns) > 1:
            self.refusals.halve(turns)
            return False
        if _is_of_the_request(failure):
            return await self._failed_itself(batch, turns, failure.code)
        return await self._set_aside(turns, failure)

    async def _set_aside(self, turns: Sequence[TurnNoted], failure: TerminalError) -> bool:
        """Leave a refused turn out for a while; one that was refused too often is done without facts."""
        if not self.refusals.set_aside(turns[0], str(failure)):
            return False
        await self._done(turns, failure.code)
        return True

    async def _failed_itself(self, batch: str, turns: Sequence[TurnNoted], why: str) -> bool:
        """End turns without facts once their own request has failed several times."""
        self._failures[batch] += 1
        if self._failures[batch] < MOST_FAILURES:
            return False
        del self._failures[batch]
        await self._done(turns, why)
        return True

    async def _write(self, turns: Sequence[TurnNoted], changes: Sequence[Change], judged: Judged) -> None:
        """Publish the facts, then the records that the turns are done; apply both before the session is released."""
        kept = [MemoryKept(memory=self._dated(each.memory), by=MEMORY, reason=each.reason[:500]) for each in changes]
        await send(self._parts, kept)
        for each in kept:
            await self.viewer.take(each)
        for reason, number in judged.refused.items():
            self._parts.metrics.facts.labels(f"refused_{reason}").inc(number)
        for each in kept:
            self._parts.metrics.facts.labels(_outcome(each.memory)).inc()
        await self._done(turns, f"{len(kept)} changes of facts")
        self._count("read")
        log.info("facts_extracted", tenant=turns[0].tenant, turns=len(turns), facts=len(kept))

    async def _done(self, turns: Sequence[TurnNoted], outcome: str) -> None:
        done = [turn.done_at(datetime.now(UTC), outcome) for turn in turns]
        await send(self._parts, done)
        for each in done:
            await self.viewer.take(each)

    def _dated(self, memory: Memory) -> Memory:
        """Return a fact with the end of validity of its kind, unless it has an earlier one."""
        end = self.own.valid_until(memory.kind, max(memory.created, memory.confirmed or memory.created))
        ends = [each for each in (memory.valid_until, end) if each is not None]
        return memory.model_copy(update={"valid_until": min(ends, default=None)})

    def _count(self, outcome: str) -> None:
        self._parts.metrics.fact_batches.labels(outcome).inc()


def _is_of_the_request(failure: TerminalError) -> bool:
    """Return True if an endpoint rejects the request itself, and not its key or its model."""
    rejected = isinstance(failure.__cause__, NotAnswered) and not failure.__cause__.elsewhere
    return rejected or failure.code == GARBLED


def _outcome(memory: Memory) -> str:
    """Return the outcome of a fact for the metric."""
    if memory.candidate:
        return "candidate"
    return "kept" if memory.version == 1 else "changed"
