"""Tasks that ended runs have left there: one that waits for an answer has no step at work that could cancel it.

Found in the index of runs and in their journals, so that neither a restart nor a loss of Redis hides them.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.event import ENDS
from shared.a2a.connection import Connection
from shared.a2a.outcome import ENDED
from shared.blackboard import keys, tenants_with_costs
from shared.blackboard.entries import in_state, with_agent
from shared.blackboard.journal_reader import read_entries, read_works
from shared.blackboard.listing import RunIndex, Wanted
from shared.service import Parts

LOOK_EVERY = 10.0
"""Seconds between two looks."""

FIRST_LOOK = 86_400.0
"""Seconds that the first look goes back, to runs that ended while no process was there."""

OVERLAP = 60.0
"""Seconds that each look goes back beyond the one before: clocks differ, and a run is in the index after its end."""

MOST = 1_000
"""Runs of a tenant, tenants, and tasks whose cancellation is retried."""

_SPENT_SINCE = timedelta(days=30)
_CALL = re.compile(r"call-(\d+)")


@dataclass(slots=True)
class LeftTasks:
    """Cancels the tasks that ended runs have left with one agent."""

    connection: Connection
    _since: float = field(default_factory=lambda: time.time() - FIRST_LOOK)
    _seen: dict[tuple[str, datetime | None], None] = field(default_factory=dict)
    """Ends of runs that were looked at, the latest."""
    _left: dict[str, None] = field(default_factory=dict)
    """Tasks that are not cancelled yet."""

    async def keep(self, parts: Parts) -> None:
        """Look for tasks, without end."""
        while True:
            await parts.sentinel.wait_ready()
            await self.cancel(parts)
            await asyncio.sleep(LOOK_EVERY)

    async def cancel(self, parts: Parts) -> None:
        """Cancel what runs that ended since the last look have left, and what could not be cancelled then."""
        began = time.time()
        for tenant in await self._tenants(parts):
            self._left |= dict.fromkeys(await self._left_by(parts, tenant))
        self._since = began - OVERLAP
        for task in list(self._left)[:MOST]:
            if await self.connection.cancel(task):
                del self._left[task]
        self._left = dict(list(self._left.items())[-MOST:])
        self._seen = dict(list(self._seen.items())[-10 * MOST :])

    async def _tenants(self, parts: Parts) -> list[str]:
        """Return the tenants whose runs may have used the agent."""
        remote = self.connection.remote
        if not remote.permits("*"):
            return list(remote.tenants)
        return await tenants_with_costs(parts.redis, (datetime.now(UTC) - _SPENT_SINCE).date(), MOST)

    async def _left_by(self, parts: Parts, tenant: str) -> list[str]:
        ended = Wanted([with_agent(self.connection.name)], list(map(in_state, ENDS)), since=self._since, by_change=True)
        runs, _ = await RunIndex(parts.sentinel).select(tenant, ended, MOST)
        found = list[str]()
        for run in runs:
            if (end := (run.run_id, run.finished)) not in self._seen:
                works = await read_works(parts.redis, tenant, run.run_id)
                found += [left_in(await self._results(parts, tenant, work)) for work in works]
                self._seen[end] = None
        return list(filter(None, found))

    async def _results(self, parts: Parts, tenant: str, work: str) -> list[dict[str, Any]]:
        """Return the results of the agent's calls in a journal, in order."""
        names = await parts.redis.hkeys(keys.journal(tenant, work))
        numbers = sorted(int(found[1]) for name in names if (found := _CALL.fullmatch(name)))
        entries = await read_entries(parts.redis, tenant, work, [f"call-{number}" for number in numbers])
        answers = map(json.loads, entries.values())
        return [each["result"] for each in answers if each.get("origin") == self.connection.origin and "result" in each]


def left_in(results: Iterable[dict[str, Any]]) -> str:
    """Return the task that the results of some work have started and not ended; empty if there is none."""
    task = ""
    for result in results:
        if result.get("state") in ENDED:
            task = ""
        task = result.get("task") or task
    return task
