"""Listings of a tenant's runs, newest first."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.event import State
from shared.blackboard import keys
from shared.blackboard.runs import read_run
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel
from shared.blackboard.unreadable import UnreadableRun
from shared.runs import Run

_FIND = script("find")

SLICE = 2_000
"""Index entries examined per call when filtering: Redis does nothing else for about 2 ms."""


class RunsFound(NamedTuple):
    """Some runs of a listing."""

    runs: list[Run | UnreadableRun]
    end: int
    """Offset in the index after the last entry examined."""


class RunIndex:
    """Index of the runs of all tenants. Every call names the tenant."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._redis = sentinel.client
        self._scripts = sentinel.scripts

    async def count(self, tenant: str) -> int:
        """Return the number of entries, including runs that have expired since."""
        return int(await self._redis.zcard(keys.runs(tenant)))

    async def latest(self, tenant: str, limit: int, offset: int = 0) -> list[Run | UnreadableRun]:
        """Return the tenant's runs, newest first. Expired runs are skipped and removed from the index."""
        return await self._listed(tenant, await self._redis.zrevrange(keys.runs(tenant), offset, offset + limit - 1))

    async def in_state(self, tenant: str, state: State, limit: int, offset: int = 0) -> RunsFound:
        """Return the tenant's runs in that state, newest first.

        Redis filters, in slices of the index. A run whose state cannot be read is in none.
        """
        key, wanted, ids, examined = keys.runs(tenant), f'"{state}"', list[str](), 0
        around = keys.run(tenant, "\0").split("\0")
        while len(ids) < limit:
            about: list[str | int] = [offset + examined, SLICE, limit - len(ids), wanted, *around]
            count, *found = await self._scripts.run(_FIND, [key], about)
            if not count:
                break
            examined += int(count)
            ids += found
        runs = [run for run in await self._listed(tenant, ids) if run.state == state]
        return RunsFound(runs, offset + examined)

    async def _listed(self, tenant: str, ids: Sequence[str]) -> list[Run | UnreadableRun]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(keys.run(tenant, run_id))
            records = await pipe.execute()
        found = [_run_or_why(run_id, fields) for run_id, fields in zip(ids, records, strict=True)]
        gone = [run_id for run_id, run in zip(ids, found, strict=True) if run is None]
        if gone:
            await self._redis.zrem(keys.runs(tenant), *gone)
        return [run for run in found if run is not None]


def _run_or_why(run_id: str, fields: Mapping[str, str]) -> Run | UnreadableRun | None:
    """Return one entry of a listing, which must survive an unreadable record."""
    try:
        return read_run(fields)[0]
    except (ValueError, KeyError) as wrong:
        return UnreadableRun(run_id, fields, "", wrong)
