"""Carrying out of orders to forget: the runs they select, in every store but that of the memories.

| step | interrupted before the next |
|---|---|
| the order is recorded, with the runs that its memories name | it is recorded once more, under the same id |
| runs and files are found, in the logs and on the blackboard | both are found again |
| keys are destroyed | destroying them once more changes nothing |
| files, keys in Redis and clear records are removed | what is left is removed |

A live run is waited for; cancel it to forget it now. From the moment its key is destroyed, no redelivery
and no rebuild brings a run back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

import structlog

from schemas.forgetting import Forgetting, StoreForgotten, begun
from schemas.memory_log import ForgettingOrdered, hidden
from shared.archive import BlobStore
from shared.archive.forgettings import Forgettings, Open
from shared.archive.run_keys import RunKeys
from shared.blackboard import RunStore, Sentinel
from shared.blackboard.erasing import Eraser
from shared.bus.admin.trimming import RESULTS, Left, clear_records, trim
from shared.config import Settings
from shared.service.forgetting.finding import files_in_logs, runs_of
from shared.service.process import Parts

OfRuns: TypeAlias = Callable[[ForgettingOrdered, Sequence[str]], Awaitable[None]]
"""Forgets the memories of these runs."""

LOOK_EVERY = 1.0
"""Seconds between looks for orders."""

WAIT_EVERY = 5.0
"""Seconds between looks at runs that have not ended."""

SEALED_AWAY = "their values are sealed, and their key is destroyed"

log = structlog.get_logger()


async def order_forgetting(ledger: Forgettings, order: ForgettingOrdered, runs: Sequence[str]) -> None:
    """Record an order, to be carried out by a `Forgetter`; `runs`: those that its memories name."""
    await ledger.begin(begun(order), order, runs)


@dataclass(frozen=True, slots=True)
class Forgetter:
    """Carries orders out, the oldest first. Several may run: each step may be repeated."""

    settings: Settings
    sentinel: Sentinel
    runs: RunStore
    archive: BlobStore
    keys: RunKeys
    ledger: Forgettings

    async def carry_out_regularly(self, memories: OfRuns) -> None:
        """Carry out orders, without end; `memories` forgets those of runs. Raises what unavailable stores raise."""
        while True:
            waiting = [await self.carry_out(each, memories) for each in await self.ledger.open()]
            await asyncio.sleep(WAIT_EVERY if any(waiting) else LOOK_EVERY)

    async def carry_out(self, open: Open, memories: OfRuns) -> bool:
        """Carry an order out; return True if it waits for runs to end."""
        report, files = open.report, open.files
        if files is None:
            found = await self._find(open)
            live = [each for each in sorted(found) if await self._is_live(report.tenant, each)]
            report = report.model_copy(update={"runs": sorted(found), "live": live})
            if live:
                await self.ledger.save(report.model_copy(update={"state": "waiting"}), None)
                return True
            files = sorted(await self._files(report.tenant, report.runs))
            await self.ledger.save(report.model_copy(update={"state": "working"}), files)
        await memories(open.order, report.runs)
        stores = [store async for store in self._forget(report, open.order, files)]
        done = {"stores": stores, "state": "done", "live": [], "finished": datetime.now(UTC)}
        await self.ledger.save(report.model_copy(update=done), files)
        log.info("forgotten", tenant=report.tenant, forgetting=report.id, runs=len(report.runs))
        return False

    async def repeat(self) -> int:
        """Destroy the keys of forgotten runs that a backup has brought back; return their number."""
        number = 0
        for each in await self.ledger.done():
            number += await self.keys.destroy(each.tenant, each.runs)
        if number:
            await self.keys.purge()
            log.warning("restored_keys_destroyed", keys=number)
        return number

    async def _find(self, open: Open) -> set[str]:
        order = open.order
        found = set(open.runs) | await runs_of(self.settings, order)
        if order.everything:
            found |= set(await self.keys.of_tenant(order.tenant, order.at))
        return found - {""}  # of records without a key

    async def _is_live(self, tenant: str, run: str) -> bool:
        return await self.runs.is_over(tenant, run) is False

    async def _files(self, tenant: str, runs: Collection[str]) -> set[str]:
        """Return the files of these runs that no other run of the tenant names."""
        own, others = await self._eraser(tenant).files(runs)
        return (own | await files_in_logs(self.settings, runs)) - others

    async def _forget(
        self, report: Forgetting, order: ForgettingOrdered, files: Sequence[str]
    ) -> AsyncIterator[StoreForgotten]:
        """Remove what is left, store by store, keys first: from then on nothing is written any more."""
        tenant, runs = report.tenant, report.runs
        await self.keys.forget(tenant, runs)
        await self.keys.purge()
        yield StoreForgotten(store="postgres.run_keys", removed=len(runs), note="the key of each run is destroyed")
        removed = await self.archive.remove(tenant, None if order.everything else files, order.at)
        yield StoreForgotten(store="postgres.blobs", removed=removed, note="files that no other run of it names")
        gone = await self._eraser(tenant).erase(runs, session=partial(_is_session, order))
        yield StoreForgotten(store="redis", removed=gone, note="state, journals, boards, turns and places in lists")
        yield StoreForgotten(store="kafka", removed=len(runs), note=f"records of these runs: {SEALED_AWAY}")
        for each in await self._trimmed(runs):
            yield each

    async def _trimmed(self, runs: Collection[str]) -> list[StoreForgotten]:
        """Delete the clear records of these runs where that is possible; report what stays."""
        left = await clear_records(self.settings, frozenset(runs))
        await trim(self.settings, left)
        return list(map(_reported, left))

    def _eraser(self, tenant: str) -> Eraser:
        return Eraser(self.sentinel.client, self.sentinel.scripts, tenant)


def _is_session(order: ForgettingOrdered, name: str) -> bool:
    """Return True for a session that is forgotten as a whole."""
    alone = not order.subject and not order.run
    return alone and (order.everything or order.session == hidden(name))


def _reported(left: Left) -> StoreForgotten:
    store = f"kafka.{left.topic}"
    if left.deleted:
        return StoreForgotten(store=store, removed=left.number, note="clear records, deleted with all before them")
    why = "a consumer group may need the records before them" if left.topic == RESULTS else "written in the clear"
    note = f"{why}, or the broker deletes none: they stay until the topic's retention removes them"
    return StoreForgotten(store=store, removed=0, remaining=left.number, until=left.until, note=note)


def forgetter_of(parts: Parts) -> Forgetter:
    """Return the forgetter of a service."""
    dsn = parts.settings.postgres
    return Forgetter(parts.settings, parts.sentinel, parts.runs, parts.archive, RunKeys(dsn), Forgettings(dsn))
