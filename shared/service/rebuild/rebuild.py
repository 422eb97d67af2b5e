"""Recovers a lost blackboard: one process verifies or rebuilds it, all others wait until the sentinel stands again."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any, TypeVar
from uuid import uuid4

import structlog

from schemas.log import AgentAnnounced, JournalWritten, RunChanged
from schemas.plan import AgentCard
from shared.blackboard import Restorer, Sentinel
from shared.config import Settings
from shared.service.rebuild.generations import check_logs, messages, next_epoch
from shared.service.rebuild.reading import spilled
from shared.service.rebuild.report import Report
from shared.service.rebuild.restoring import Restoring
from shared.service.rebuild.verify import Verified, verify
from shared.telemetry.logs import SELDOM
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

LOST_FOR = 0.3
"""Seconds between looks of one who waits for another's rebuild."""

Say = Callable[[str], object]

T = TypeVar("T")


async def rebuild_when_lost(sentinel: Sentinel, settings: Settings, metrics: Metrics) -> None:
    """Watch for ever, and verify or rebuild the blackboard when it is lost and no other process does."""
    while True:
        if not await sentinel.refresh() and sentinel.reachable:
            with metrics.rebuilding.track_inprogress():
                metrics.rebuilds.inc(isinstance(await recover(sentinel, settings), Report))
        await asyncio.sleep(LOST_FOR)


def _logged(line: str) -> None:
    """Log it as logging is configured by then: `log.info` itself, as a default, would be bound at import."""
    log.info(line, **SELDOM)


async def recover(sentinel: Sentinel, settings: Settings, say: Say = _logged) -> Report | Verified | None:
    """Verify the blackboard, or rebuild it; None when another process does or has done it. Raises as `rebuild` does."""
    restorer = Restorer(sentinel.own, uuid4().hex, settings.state_ttl)
    return await _alone(restorer, _recover(sentinel, restorer, settings, say))


async def _recover(sentinel: Sentinel, restorer: Restorer, settings: Settings, say: Say) -> Report | Verified | None:
    if await sentinel.refresh():
        return None
    return await verify(sentinel, restorer, settings) or await _rebuild(sentinel, restorer, settings, say)


async def rebuild(sentinel: Sentinel, settings: Settings, say: Say = _logged) -> Report | None:
    """Make the blackboard again; None when another process is doing it.

    Safe at any time: what Redis has of a run is left alone if it is further than the log. Raises KafkaError and Redis's
    errors when one of them is unavailable, BlackboardLost when another process may have begun meanwhile: retry then.
    """
    restorer = Restorer(sentinel.own, uuid4().hex, settings.state_ttl)
    return await _alone(restorer, _rebuild(sentinel, restorer, settings, say))


async def _alone(restorer: Restorer, work: Coroutine[Any, Any, T]) -> T | None:
    """The outcome of the work, done under the lock; None when another process has the lock."""
    try:
        if not await restorer.begin():
            return None
        return await restorer.during(work)
    finally:
        work.close()
        await restorer.end()


async def _rebuild(sentinel: Sentinel, restorer: Restorer, settings: Settings, say: Say) -> Report:
    started, report = time.monotonic(), Report()
    report.epoch = await restorer.sentinel_epoch()
    await check_logs(settings, report)
    await sentinel.remove()
    say("rebuilding the blackboard from the logs")
    cards: dict[str, AgentCard] = {}
    async for found in messages(settings, "cards", report):
        cards |= {each.card.name: each.card for each in found if isinstance(each, AgentAnnounced)}
    await restorer.write_cards(cards.values())
    restoring = Restoring(restorer, cards, settings, report)
    with closing(await spilled(settings, "runs.log", RunChanged)) as changes:
        await restoring.runs(changes)
    if report.runs:
        say(f"rebuilding: {report.runs} runs read")
    with closing(await spilled(settings, "journal", JournalWritten, restoring.wants)) as entries:
        await restoring.journals(entries)
    await restorer.write_tenants(restoring.tenants)
    report.epoch = await next_epoch(settings, report)
    report.seconds = time.monotonic() - started
    if not await sentinel.renew(report.epoch, owner=restorer.name):
        raise restorer.lost_error()
    say(f"the blackboard is rebuilt: {report}")
    return report
