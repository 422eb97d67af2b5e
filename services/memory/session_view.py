"""Facts of sessions on the blackboard: written whenever one changes, and all of them after Redis was lost."""

import asyncio
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from schemas.conversation import LONGEST_FACT
from schemas.memory import Memory, MemoryKind
from shared.blackboard.session_facts import SessionFact, SessionFacts
from shared.memory import MemoryStore, Selection
from shared.memory.view import MemoryView
from shared.service import Parts

MOST = 200
"""Latest facts of a session that are looked at."""

OLDEST = timedelta(days=28)
"""Facts before this are of no turn of a conversation."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the generation of the blackboard."""

_SESSIONS = """
SELECT DISTINCT session FROM memories WHERE tenant = $1 AND kind = 'semantic' AND session <> '' AND created > $2
"""

log = structlog.get_logger()


@dataclass(slots=True)
class SessionView:
    """Writes the facts of sessions to the blackboard."""

    parts: Parts
    view: MemoryView
    _generation: str = field(default="")

    async def show(self, memories: Iterable[Memory], without: Container[str] = ()) -> None:
        """Write the facts of the sessions of changed memories, except those of these ids. Raises BlackboardLost."""
        changed = {
            (each.tenant, each.session) for each in memories if each.kind is MemoryKind.SEMANTIC and each.session
        }
        for tenant, session in sorted(changed):
            await self._write(tenant, session, without)

    async def follow_blackboard(self) -> None:
        """Write the facts of all sessions at the start and whenever the blackboard was rebuilt."""
        while True:
            await self.parts.sentinel.wait_ready()
            if (generation := self.parts.sentinel.generation) != self._generation:
                number = await self.refill()
                self._generation = generation
                log.info("session_facts_written", sessions=number)
            await asyncio.sleep(LOOK_EVERY)

    async def refill(self) -> int:
        """Write the facts of all sessions that a conversation may have; return how many sessions there are."""
        number = 0
        for tenant in await self.view.tenants():
            async with self._store.door.of(tenant, readonly=True) as connection:
                rows = await connection.fetch(_SESSIONS, tenant, datetime.now(UTC) - OLDEST)
            for row in rows:
                await self._write(tenant, row["session"])
            number += len(rows)
        return number

    @property
    def _store(self) -> MemoryStore:
        return self.view.store

    async def _write(self, tenant: str, session: str, without: Container[str] = ()) -> None:
        """Write the facts of a session, once more if they have changed meanwhile.

        Another writer, also of another replica, may have written an older state after a newer one: the last one to
        write finds out.
        """
        written, stored = None, await self._stored(tenant, session, without)
        while written != stored:
            await SessionFacts(self.parts.sentinel).replace(tenant, session, stored)
            written, stored = stored, await self._stored(tenant, session, without)

    async def _stored(self, tenant: str, session: str, without: Container[str]) -> list[SessionFact]:
        which, now = Selection(session=session, kind=MemoryKind.SEMANTIC.value), datetime.now(UTC)
        found = await self._store.select(tenant, which, MOST)
        return [_fact(each) for each in found if _is_shown(each, now) and each.id not in without]


def _is_shown(memory: Memory, now: datetime) -> bool:
    """Return True for a valid fact. Words of a permission that wait for a person are left out."""
    valid = memory.pinned or memory.valid_until is None or memory.valid_until > now
    return valid and bool(memory.run) and (memory.tainted or not memory.candidate)


def _fact(memory: Memory) -> SessionFact:
    return SessionFact(
        content=memory.content[:LONGEST_FACT],
        run_id=memory.run,
        at=memory.created,
        origins=memory.taint,
        importance=memory.importance,
        valid_until=None if memory.pinned else memory.valid_until,
    )
