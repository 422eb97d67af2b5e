"""Expiry of keys: those of runs of which no topic has a record any more.

| step | when |
|---|---|
| the record and the row of a turn that is done are erased | its run ended more than `memory_key_days` ago |
| a key is removed | unused for as long; its run is over, without memory, turn or contents in the record |
| its row is removed, as is that of a forgotten run | as long after that: until then no reader waits for the key |
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from schemas.memory_log import turn_key
from services.memory.viewing import Viewer
from shared.archive.run_keys import RunKeys
from shared.audit import AuditStore
from shared.bus import Erased, TombstoneWriter
from shared.bus.groups import MEMORIES

EVERY = 3_600.0
"""Seconds between two looks."""

AT_ONCE = 500
"""Runs of one statement."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeyExpiry:
    """Removes what no record needs. Several replicas may do so."""

    viewer: Viewer
    keys: RunKeys
    days: int
    record: AuditStore | None = None
    """The audit record, which needs the keys of its contents for as long as it has them."""

    async def expire_regularly(self) -> None:
        """Expire keys at once and then regularly; never if they are kept without end."""
        while self.days:
            await self.expire(datetime.now(UTC))
            await asyncio.sleep(EVERY)

    async def expire(self, now: datetime) -> int:
        """Take each step for what is due; return the number of keys that were removed."""
        before = now - timedelta(days=self.days)
        for tenant in await self.viewer.view.tenants():
            await self._expire_turns(tenant, before)
        number, after = 0, ""
        while found := await self.keys.unused(before.date(), after, AT_ONCE):
            after = found[-1][0]
            runs = [run for tenant in {tenant for _, tenant in found} for run in await self._over(tenant, found)]
            await self.keys.expire(runs, before.date())
            number += len(runs)
        rows = await self.keys.remove(before.date())
        if number or rows:
            log.info("keys_expired", keys=number, rows=rows)
        return number

    async def _over(self, tenant: str, found: list[tuple[str, str]]) -> list[str]:
        """Return those runs of a tenant that need no key."""
        runs = [run for run, of in found if of == tenant]
        named = set(await self.viewer.view.named(tenant, runs))
        named |= await self.record.holding(tenant, runs) if self.record is not None else set()
        load = self.viewer.parts.runs.is_over
        return [run for run in runs if run not in named and await load(tenant, run) is not False]

    async def _expire_turns(self, tenant: str, before: datetime) -> None:
        """Erase turns, first on the topic, so that a death in between leaves none there."""
        settings, turns = self.viewer.parts.settings, self.viewer.turns
        while runs := await turns.ended(tenant, before, AT_ONCE):
            eraser = TombstoneWriter(settings)
            await eraser.start()
            try:
                await eraser.erase(Erased(settings.topic_prefix + MEMORIES, turn_key(tenant, each)) for each in runs)
            finally:
                await eraser.close()
            await turns.remove(tenant, runs)
