"""Viewing: each record of the topic `memories` is applied to Postgres, in any order, as often as it comes.

The offset is committed after Postgres. What compaction must keep last is written once more where an older record came
after it: the higher version of a memory, or the mark that it is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas.memory_log import ForgettingOrdered, MemoryForgotten, MemoryKept, TurnNoted
from schemas.message import Message
from services.memory.recording import send
from services.memory.session_view import SessionView
from shared.archive.forgettings import Forgettings
from shared.bus import decode
from shared.bus.groups import MEMORY
from shared.errors import InvalidMessage
from shared.memory.turns import WaitingTurns
from shared.memory.view import MemoryView, Outcome
from shared.service import Parts
from shared.service.forgetting import order_forgetting
from shared.telemetry.logs import SELDOM

NEWER = "an older record came after it"
REFUSED = "it is forgotten, or ordered to be"

AT_ONCE = 500
"""Memories forgotten in one transaction."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Viewer:
    """Applies records to the view."""

    parts: Parts
    view: MemoryView
    ledger: Forgettings
    """Orders, carried out in all other stores alongside."""

    @property
    def turns(self) -> WaitingTurns:
        """Turns that wait for their facts to be extracted."""
        return WaitingTurns(self.view.store)

    @property
    def sessions(self) -> SessionView:
        """Facts of sessions on the blackboard."""
        return SessionView(self.parts, self.view)

    async def apply(self, record: Any) -> None:
        """Apply a record. One without a value erases a key that Postgres no longer needs."""
        if record.value is None:
            return
        await self.take(decode(record, self.parts.settings.topic_prefix).message)

    async def take(self, message: Message) -> None:
        """Apply a message of the topic."""
        match message:
            case MemoryKept():
                await self._keep(message)
            case MemoryForgotten():
                await self._forget_one(message)
            case ForgettingOrdered():
                await self._order(message)
            case TurnNoted():
                await self._note(message)

    async def _note(self, turn: TurnNoted) -> None:
        await self.view.note(turn.tenant)
        if (instead := await self.turns.note(turn, datetime.now(UTC))) is not None:
            await send(self.parts, [instead])

    async def apply_all(self, records: Sequence[Any]) -> None:
        """Apply records without repairs, in few transactions. One that cannot be read is logged and passed over."""
        messages = [message for record in records if (message := self._message(record)) is not None]
        kept = [each.memory for each in messages if isinstance(each, MemoryKept)]
        for tenant in dict.fromkeys(each.tenant for each in kept):
            await self.view.keep_all(tenant, [each for each in kept if each.tenant == tenant])
        gone = [each for each in messages if isinstance(each, MemoryForgotten)]
        for tenant in dict.fromkeys(each.tenant for each in gone):
            await self.view.forget(tenant, {each.id: each.at for each in gone if each.tenant == tenant})
        for each in messages:
            if isinstance(each, ForgettingOrdered):
                await self._order(each)
        for each in messages:
            if isinstance(each, TurnNoted):
                await self.view.note(each.tenant)
                await self.turns.note(each, datetime.now(UTC))

    def _message(self, record: Any) -> Message | None:
        if record.value is None:
            return None
        try:
            return decode(record, self.parts.settings.topic_prefix).message
        except InvalidMessage as wrong:
            log.warning("memory_record_unreadable", offset=record.offset, error=str(wrong), **SELDOM)
            return None

    async def _keep(self, kept: MemoryKept) -> None:
        found = await self.view.keep(kept.memory)
        await self.sessions.show([kept.memory])
        self._count(found.outcome.value if not kept.memory.candidate else f"{found.outcome.value}_candidate")
        if found.newer is not None:
            await send(self.parts, [MemoryKept(memory=found.newer, by=MEMORY, reason=NEWER)])
        elif found.outcome is Outcome.REFUSED:
            await self.forget(kept.tenant, [kept.memory.id], by=MEMORY, reason=REFUSED)

    async def _order(self, order: ForgettingOrdered) -> None:
        covered = await self.view.order(order)
        await order_forgetting(self.ledger, order, await self.view.runs_of(order.tenant, covered))
        await self._forget_covered(order, covered)

    async def forget_runs(self, order: ForgettingOrdered, runs: Sequence[str]) -> None:
        """Forget the memories and turns of the runs that an order reaches."""
        for run in runs if not (order.everything or order.run) else ():
            await self._forget_ids(order, await self.view.of_run(order.tenant, run, order.at))
            await self._end_turns(await self.turns.forget_run(order.tenant, run, datetime.now(UTC)))

    async def _forget_covered(self, order: ForgettingOrdered, covered: Sequence[str]) -> None:
        await self._forget_ids(order, covered)
        await self._end_turns(await self.turns.forget(order, datetime.now(UTC)))
        log.info("forgetting_ordered", tenant=order.tenant, key=order.key, memories=len(covered))

    async def _forget_ids(self, order: ForgettingOrdered, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), AT_ONCE):
            await self.forget(order.tenant, list(ids[start : start + AT_ONCE]), by=order.by, reason=order.reason)

    async def _end_turns(self, turns: Sequence[TurnNoted]) -> None:
        for turn in turns:
            await send(self.parts, [turn])
            await self.turns.note(turn, datetime.now(UTC))

    async def _forget_one(self, gone: MemoryForgotten) -> None:
        """Forget a memory, and if a person has forgotten it, the waiting turn that it comes from.

        The turn is ended before, while the run is known, and after, since it may have been noted in between.
        """
        known = await self.view.store.get(gone.tenant, [gone.id]) if gone.by != MEMORY else []
        runs = [each.run for each in known if each.run]
        await self._end_turns_of(gone.tenant, runs)
        await self._forget(gone.tenant, {gone.id: gone.at})
        await self._end_turns_of(gone.tenant, runs)

    async def _end_turns_of(self, tenant: str, runs: Sequence[str]) -> None:
        for run in runs:
            await self._end_turns(await self.turns.end(tenant, run, datetime.now(UTC)))

    async def forget(self, tenant: str, ids: list[str], *, by: str, reason: str) -> None:
        """Forget memories on the topic, and then in Postgres."""
        now = datetime.now(UTC)
        await send(self.parts, [MemoryForgotten(tenant=tenant, id=id, by=by, reason=reason, at=now) for id in ids])
        await self._forget(tenant, dict.fromkeys(ids, now))

    async def _forget(self, tenant: str, gone: dict[str, datetime]) -> None:
        known = await self.view.store.get(tenant, list(gone))
        await self.sessions.show(known, without=gone)  # before Postgres, so that a crash in between repeats it
        number = await self.view.forget(tenant, gone)
        await self.sessions.show(known)
        self._count("forgotten", number)

    def _count(self, outcome: str, number: int = 1) -> None:
        self.parts.metrics.memories.labels(outcome).inc(number)
