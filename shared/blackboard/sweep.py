"""Sweeps of the index: add the runs that earlier releases have written, and those they still write."""

import asyncio
import time

import structlog

from shared.blackboard import keys
from shared.blackboard.connect import OUTAGES
from shared.blackboard.entries import index_format
from shared.blackboard.reindex import AT_ONCE, around, reindex
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel

_OUTDATED = script("outdated", using=("unindex",))

SLICE = 1_000
"""Entries of the index that Redis examines per call: it does nothing else for about 2 ms."""

EVERY = 60.0
"""Seconds between two sweeps of a tenant's index, which are made only while its runs are listed."""

_LONGEST = 600
"""Seconds after which another process may sweep an index that is not swept completely yet."""

PAUSE = 0.02
"""Seconds between two batches of runs that are read, in which other requests are served."""

log = structlog.get_logger()


class IndexSweep:
    """Sweeps of one process. `run` must be running."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._redis = sentinel.client
        self._last: dict[str, float] = {}
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._swept = asyncio.Condition()

    async def ask(self, tenant: str, patience: float = 1.0) -> bool:
        """Ask for a sweep if one is due; return True if the index has every run of the tenant.

        While it has not, wait a little: few runs are indexed at once.
        """
        if time.monotonic() - self._last.get(tenant, -EVERY) >= EVERY:
            self._last[tenant] = time.monotonic()
            self._wanted.put_nowait(tenant)
        if await self._is_complete(tenant):
            return True
        try:
            async with asyncio.timeout(patience), self._swept:
                await self._swept.wait()
        except TimeoutError:
            pass
        return await self._is_complete(tenant)

    async def _is_complete(self, tenant: str) -> bool:
        return bool(await self._redis.get(keys.runs_indexed(tenant)) == index_format())

    async def run(self) -> None:
        """Sweep the indices that were asked for, one at a time, without end."""
        while True:
            tenant = await self._wanted.get()
            try:
                await self._sweep_alone(tenant)
            except OUTAGES as outage:
                log.info("index_sweep_delayed", tenant=tenant, reason=str(outage))
                self._last.pop(tenant, None)
            async with self._swept:
                self._swept.notify_all()

    async def _sweep_alone(self, tenant: str) -> None:
        """Sweep the index, unless another process does, or has done so just now."""
        turn = keys.runs_sweeping(tenant)
        if not await self._redis.set(turn, "1", nx=True, ex=_LONGEST):
            return
        try:
            replaced = await sweep(self._sentinel, tenant)
        except BaseException:
            await self._redis.delete(turn)
            raise
        await self._redis.set(turn, "1", ex=int(EVERY) - 1)
        if replaced:
            log.info("runs_indexed", tenant=tenant, runs=replaced)


async def sweep(sentinel: Sentinel, tenant: str) -> int:
    """Replace all outdated entries of the tenant's index, and return how many there were."""
    start, replaced = 0, 0
    while True:
        arguments: list[str | int] = [start, start + SLICE - 1, index_format(), *around(tenant)]
        count, left, *outdated = await sentinel.scripts.run(_OUTDATED, [keys.runs(tenant)], arguments)
        for first in range(0, len(outdated), AT_ONCE):
            await reindex(sentinel, tenant, outdated[first : first + AT_ONCE])
            await asyncio.sleep(PAUSE)
        replaced += len(outdated)
        if count < SLICE:
            await sentinel.client.set(keys.runs_indexed(tenant), index_format())
            return replaced
        start += int(left)
