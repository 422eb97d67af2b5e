"""Recovers a lost blackboard: one process verifies or rebuilds it, all others wait until the sentinel is renewed."""

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
from shared.service.rebuild.reading import spill_log
from shared.service.rebuild.report import Report
from shared.service.rebuild.restoring import Restoring
from shared.service.rebuild.verify import Verified, verify
from shared.telemetry.logs import SELDOM
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

CHECK_EVERY = 0.3
"""Seconds between looks at what the sentinel has noticed, and between checks while another process rebuilds."""

STARTED = "rebuild_started"

Reporter = Callable[[str, str], object]
"""Receives the progress of a rebuild: an event key, and a sentence for people."""

T = TypeVar("T")


async def rebuild_when_lost(sentinel: Sentinel, settings: Settings, metrics: Metrics) -> None:
    """Check without end, and verify or rebuild the blackboard when it is lost and no other process does."""
    while True:
        if not sentinel.is_ready and not await sentinel.refresh() and sentinel.reachable:
            with metrics.rebuilding.track_inprogress():
                metrics.rebuilds.inc(isinstance(await recover(sentinel, settings), Report))
        await asyncio.sleep(CHECK_EVERY)


def _log_progress(event: str, sentence: str) -> None:
    """Log progress. Only the start repeats during an outage: each attempt logs it, and none gets further."""
    log.info(event, detail=sentence, **(SELDOM if event == STARTED else {}))


async def recover(sentinel: Sentinel, settings: Settings, report: Reporter = _log_progress) -> Report | Verified | None:
    """Verify the blackboard, or rebuild it; None if another process does or did. Raises as `rebuild` does."""
    restorer = Restorer(sentinel.own, uuid4().hex, settings.state_ttl)
    return await _under_lock(restorer, _recover(sentinel, restorer, settings, report))


async def _recover(
    sentinel: Sentinel, restorer: Restorer, settings: Settings, report: Reporter
) -> Report | Verified | None:
    if await sentinel.refresh():
        return None
    return await verify(sentinel, restorer, settings) or await _rebuild(sentinel, restorer, settings, report)


async def rebuild(sentinel: Sentinel, settings: Settings, report: Reporter = _log_progress) -> Report | None:
    """Rebuild the blackboard; return None if another process is doing it.

    Safe at any time: a run that is further in Redis than in the log is left as it is. Raises KafkaError and Redis's
    errors if one of them is unavailable, BlackboardLost if another process may have started meanwhile: retry then.
    """
    restorer = Restorer(sentinel.own, uuid4().hex, settings.state_ttl)
    return await _under_lock(restorer, _rebuild(sentinel, restorer, settings, report))


async def _under_lock(restorer: Restorer, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the outcome of the work, done under the lock; None if another process holds the lock."""
    try:
        if not await restorer.begin():
            return None
        return await restorer.during(work)
    finally:
        work.close()
        await restorer.end()


async def _rebuild(sentinel: Sentinel, restorer: Restorer, settings: Settings, say: Reporter) -> Report:
    started, report = time.monotonic(), Report()
    report.epoch = await restorer.sentinel_epoch()
    await check_logs(settings, report)
    await sentinel.remove()
    say(STARTED, "rebuilding the blackboard from the logs")
    cards: dict[str, AgentCard] = {}
    async for found in messages(settings, "cards", report):
        cards |= {each.card.name: each.card for each in found if isinstance(each, AgentAnnounced)}
    await restorer.write_cards(cards.values())
    restoring = Restoring(restorer, cards, settings, report)
    with closing(await spill_log(settings, "runs.log", RunChanged)) as changes:
        await restoring.runs(changes)
    if report.runs:
        say("rebuild_runs_read", f"rebuilding: {report.runs} runs read")
    with closing(await spill_log(settings, "journal", JournalWritten, restoring.wants)) as entries:
        await restoring.journals(entries)
    await restorer.write_claims(restoring.claims.values())
    await restorer.write_tenants(restoring.tenants)
    report.epoch = await next_epoch(settings, report)
    report.seconds = time.monotonic() - started
    if not await sentinel.renew(report.epoch, owner=restorer.name):
        raise restorer.lost_error()
    say("blackboard_rebuilt", f"the blackboard is rebuilt: {report}")
    return report
