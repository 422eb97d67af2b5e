"""Changes of memories by people: compared with the version looked at, logged, and awaited until they are visible.

The log is the truth and the store is its view, which follows within a moment. So changes of one memory take turns, each
waits for its effect, and a version that is logged and not yet visible is remembered, so that no two have one number.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from schemas.api.memories import ConfirmRequest, CorrectRequest, MemoryChangeRequest
from schemas.memory import MOST_CHANGES, ChangeKind, Memory, MemoryChange
from schemas.memory_log import MemoryForgotten, MemoryKept
from services.gateway.errors import Refused
from services.gateway.publishing import UNKNOWN, deliver
from shared.blackboard import keys
from shared.blackboard.lock import Lock
from shared.memory import MemoryStore
from shared.memory.listing import Listed, show_memory
from shared.service import Parts

WITHIN = 3.0
"""Seconds to wait for a change to be visible."""

INTERVAL = 0.05
"""Seconds between two looks."""

LOCKED_FOR = 20.0
"""Seconds for which a change may hold its memory; longer than publishing and waiting take."""

PENDING_FOR = 3_600
"""Seconds for which a version is remembered that is logged, or may be, and was not visible in time."""

GONE = 0
"""Pending version of a memory that is being forgotten."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change, with the memory before it; without one if nothing was to be changed."""

    after: Listed
    before: Memory | None
    in_effect: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one tenant's memories by one author."""

    parts: Parts
    store: MemoryStore
    tenant: str
    by: str

    async def apply(
        self, id: str, order: MemoryChangeRequest, kind: ChangeKind, change: Callable[[Memory, datetime], Memory | None]
    ) -> Changed:
        """Make a change. `change`: returns the next version, or None if the memory is as wanted.

        Raises Refused 404 for an unknown memory, 409 for another version than that of the order.
        """
        async with self._turn(id):
            found = await self._present(id)
            after = change(found.memory, datetime.now(UTC))
            if after is None:
                return Changed(found, None, in_effect=True)
            _require_version(found.memory, order)
            after = _noted(after, kind, self.by, order.reason)
            await self._log(MemoryKept(memory=after, by=self.by, reason=order.reason), after.version)
            seen = await self._awaited(id, lambda each: each is not None and each.memory.version >= after.version)
            return Changed(Listed(after, found.uses, found.last_used), found.memory, in_effect=seen)

    async def forget(self, id: str, order: MemoryChangeRequest) -> bool:
        """Forget a memory for good; return True once it is gone. Raises Refused 404, 409."""
        async with self._turn(id):
            found = await self._present(id)
            _require_version(found.memory, order)
            now = datetime.now(UTC)
            await self._log(MemoryForgotten(tenant=self.tenant, id=id, by=self.by, reason=order.reason, at=now), GONE)
            return await self._awaited(id, lambda each: each is None)

    async def _present(self, id: str) -> Listed:
        """Return the memory. Raises Refused 404 without one, 409 while an earlier change is not yet visible."""
        found = await show_memory(self.store, self.tenant, id)
        pending = await self.parts.redis.get(keys.memory_pending(self.tenant, id))
        if found is None or pending == str(GONE):
            raise unknown_memory(id)
        if pending is not None and int(pending) > found.memory.version:
            message = f"version {pending} of the memory {id} is accepted and not yet in effect"
            raise Refused(409, "not_in_effect", message, retryable=True, action="repeat the request in a moment")
        return found

    async def _log(self, record: MemoryKept | MemoryForgotten, version: int) -> None:
        """Publish a record, and remember its version until it is visible."""
        pending = keys.memory_pending(self.tenant, record.key)
        await self.parts.redis.set(pending, version, ex=PENDING_FOR)
        try:
            await deliver(self.parts, record, id=f"{record.key}-{version or 'gone'}", run_id=record.key)
        except Refused as refused:
            if refused.error.code != UNKNOWN:
                await self.parts.redis.delete(pending)
            raise

    async def _awaited(self, id: str, visible: Callable[[Listed | None], bool]) -> bool:
        """Wait until the store shows the change, or for a while."""
        for _ in range(int(WITHIN / INTERVAL)):
            if visible(await show_memory(self.store, self.tenant, id)):
                await self.parts.redis.delete(keys.memory_pending(self.tenant, id))
                return True
            await asyncio.sleep(INTERVAL)
        return False

    @asynccontextmanager
    async def _turn(self, id: str) -> AsyncIterator[None]:
        """Hold the memory, as soon as others have ended. Raises Refused 409 if that takes too long."""
        lock = Lock(self.parts.redis, keys.memory_change(self.tenant, id), uuid4().hex, int(LOCKED_FOR * 1000))
        until = asyncio.get_running_loop().time() + 2 * WITHIN
        while not await lock.take():
            if asyncio.get_running_loop().time() > until:
                message, action = f"another person changes the memory {id}", "repeat the request in a moment"
                raise Refused(409, "busy", message, retryable=True, action=action)
            await asyncio.sleep(INTERVAL)
        try:
            yield
        finally:
            await lock.release()


def corrected(memory: Memory, at: datetime, *, order: CorrectRequest, by: str) -> Memory | None:
    """Return the memory with the new values; None if it has them.

    Of new content the person's word is the source. It counts most, unless the person says how much.
    """
    wanted = order.model_dump(include={"content", "subject", "importance", "valid_until"}, exclude_none=True)
    if all(getattr(memory, name) == value for name, value in wanted.items()):
        return None
    if wanted.get("content", memory.content) == memory.content:
        return _next(memory, **wanted)
    return memory.confirmed_at(at, by, **{"importance": 1.0} | wanted)


def confirmed(memory: Memory, at: datetime, *, order: ConfirmRequest, by: str) -> Memory | None:
    """Return the memory as the person's word; None if a repeated request has made it so."""
    last = memory.changes[-1] if memory.changes else None
    if last and (last.kind, last.by, last.version) == (ChangeKind.CONFIRMED, by, order.version + 1):
        return None
    return memory.confirmed_at(at, by)


def pinned(memory: Memory, *, pin: bool) -> Memory | None:
    """Return the memory pinned, or not; None if it is so."""
    if memory.pinned is pin:
        return None
    return _next(memory, pinned=pin)


def unknown_memory(id: str) -> Refused:
    """404: the tenant has no such memory."""
    message, action = f"this tenant has no memory {id}", "GET /v1/memories lists those that it has"
    return Refused(404, "unknown_memory", message, action=action)


def _next(memory: Memory, **changes: Any) -> Memory:
    """Return the next version, trusted no more than this one."""
    return Memory.model_validate(memory.model_dump() | {"version": memory.version + 1} | changes)


def _require_version(memory: Memory, order: MemoryChangeRequest) -> None:
    """Raise Refused 409 for another version than that of the order."""
    if order.version not in (None, memory.version):
        message = f"the memory {memory.id} has version {memory.version}, and not {order.version}"
        raise Refused(409, "memory_changed", message, action="GET the memory, look at what changed, and decide again")


def _noted(memory: Memory, kind: ChangeKind, by: str, reason: str) -> Memory:
    note = MemoryChange(version=memory.version, kind=kind, by=by, reason=reason, at=datetime.now(UTC))
    return memory.model_copy(update={"changes": [*memory.changes, note][-MOST_CHANGES:]})
