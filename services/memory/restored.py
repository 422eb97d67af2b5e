"""Restored databases: orders to forget since the backup was made are applied once more.

All orders to forget are on the topic `memories`. They are applied at every start, and whenever the database lacks an
order that it had: then the store is filled from the topic, too, since memories that were kept since are missing.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import structlog

from schemas.envelope import HEADER
from schemas.memory_log import ForgettingOrdered, MemoryForgotten
from services.memory.viewing import Viewer
from shared.bus import header_map
from shared.bus.admin import stream
from shared.bus.groups import MEMORIES
from shared.service.forgetting import Forgetter

LOOK_EVERY = 10.0
"""Seconds between two looks for a restored database."""

_FORGETTING = frozenset(each.wire_type().encode() for each in (ForgettingOrdered, MemoryForgotten))

log = structlog.get_logger()


@dataclass(slots=True)
class Restored:
    """Applies orders once more. Several replicas may do so: nothing is forgotten twice that differs."""

    viewer: Viewer
    forgetter: Forgetter
    _known: frozenset[str] = field(default_factory=frozenset)
    """Orders that the database has had."""

    async def watch(self) -> None:
        """Apply all orders, and again after each restore, without end."""
        await self.apply()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if await self.is_older():
                log.warning("database_restored", advice="all orders to forget are applied once more")
                await self.viewer.view.request_fill()
                await self.apply()

    async def is_older(self) -> bool:
        """Return True if the database lacks an order that it had."""
        found = await self.viewer.ledger.ids()
        if self._known - found:
            return True
        self._known = found
        return False

    async def apply(self) -> None:
        """Apply all orders of the topic, and destroy the keys that are there in spite of them.

        Memories on the topic that cannot be read, since their keys are missing, keep no order from being applied.
        """
        async for records in stream(self.viewer.parts.settings, MEMORIES, whole=False):
            await self.viewer.apply_all([each for each in records if _forgets(each)])
        await self.forgetter.repeat()
        self._known = await self.viewer.ledger.ids()


def _forgets(record: Any) -> bool:
    return header_map(record.headers).get(HEADER["type"]) in _FORGETTING
