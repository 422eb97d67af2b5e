"""One process rebuilds, all others wait until the sentinel stands again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog

from schemas.log import AgentAnnounced, GenerationBegun, JournalWritten, RunChanged
from schemas.message import Message
from schemas.plan import AgentCard
from shared.blackboard import Restorer, Sentinel
from shared.bus import decode, encode, history, partition_counts, publish_once
from shared.errors import InvalidMessage, LogDamaged
from shared.rebuild.reading import spilled
from shared.rebuild.report import Report
from shared.rebuild.restoring import SOURCE, Restoring
from shared.settings import Settings
from shared.telemetry.logs import SELDOM
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

LOGS = ("runs.log", "journal")
"""What the blackboard is made from."""

LOST_FOR = 0.3
"""Seconds between looks of one who waits for another's rebuild."""

Say = Callable[[str], object]


async def rebuild_when_lost(sentinel: Sentinel, settings: Settings, metrics: Metrics) -> None:
    """Watch for ever, and rebuild whenever the blackboard is lost and nobody else does."""
    while True:
        if not await sentinel.look() and sentinel.reachable:
            with metrics.rebuilding.track_inprogress():
                metrics.rebuilds.inc(await rebuild(sentinel, settings) is not None)
        await asyncio.sleep(LOST_FOR)


def _logged(line: str) -> None:
    """Log it as logging is configured by then: `log.info` itself, as a default, would be bound at import."""
    log.info(line, **SELDOM)


async def rebuild(sentinel: Sentinel, settings: Settings, say: Say = _logged) -> Report | None:
    """Make the blackboard again; None when somebody else is doing it.

    Safe at any time: what Redis has of a run is left alone if it is further than the log. Raises KafkaError and Redis's
    errors when one of them is away, BlackboardLost when another process may have begun meanwhile: begin again then.
    """
    restorer = Restorer(sentinel.own, uuid4().hex, settings.state_ttl)
    if not await restorer.begin():
        return None
    try:
        return await restorer.during(_rebuild(sentinel, restorer, settings, say))
    finally:
        await restorer.end()


async def _rebuild(sentinel: Sentinel, restorer: Restorer, settings: Settings, say: Say) -> Report:
    started, report = time.monotonic(), Report()
    report.epoch = await restorer.sentinel_epoch()
    await _check_logs(settings, report)
    await sentinel.remove()
    say("rebuilding the blackboard from the logs")
    cards: dict[str, AgentCard] = {}
    async for found in _messages(settings, "cards", report):
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
    report.epoch = await _next_epoch(settings, report)
    report.seconds = time.monotonic() - started
    if not await sentinel.renew(report.epoch, owner=restorer.name):
        raise restorer.lost()
    say(f"the blackboard is rebuilt: {report}")
    return report


async def _check_logs(settings: Settings, report: Report) -> None:
    """Raise LogDamaged for a log that is gone, or has fewer partitions than the last generation was made from.

    More partitions do no harm: a run is folded over all of them.
    """
    report.partitions = await partition_counts(settings, LOGS)
    before: dict[str, int] = {}
    async for found in _messages(settings, "generations", report):
        for each in found:
            if isinstance(each, GenerationBegun):
                report.epoch, before = max(report.epoch, each.epoch), each.partitions
    for topic, count in before.items():
        if report.partitions.get(topic, 0) < count:
            has = f"has {report.partitions[topic]} partitions" if topic in report.partitions else "is gone"
            lost = f"{settings.topic_prefix}{topic} {has}; the blackboard was last made from {count}: restore the topic"
            anew = f"if what it held is of no use any more, make the topic {settings.topic_prefix}generations anew"
            raise LogDamaged(f"{lost}; {anew}")


async def _next_epoch(settings: Settings, report: Report) -> int:
    """An epoch that no generation has had, in Kafka before anybody works with it."""
    now = datetime.now(UTC)
    begun = GenerationBegun(epoch=report.epoch + 1, at=now, partitions=report.partitions)
    key, prefix = "blackboard", settings.topic_prefix
    await publish_once(
        settings, encode(begun, id=f"generation/{begun.epoch}", source=SOURCE, prefix=prefix, now=now, key=key)
    )
    return begun.epoch


async def _messages(settings: Settings, topic: str, report: Report) -> AsyncIterator[list[Message]]:
    """What a small log holds, one list for each partition."""
    async for records in history(settings, topic):
        found = await asyncio.to_thread(_decoded, records, topic, settings.topic_prefix)
        report.unreadable += len(records) - len(found)
        yield found


def _decoded(records: Sequence[Any], topic: str, prefix: str) -> list[Message]:
    """Those that can be read."""
    found: list[Message] = []
    for record in records:
        try:
            found.append(decode(record, prefix).message)
        except InvalidMessage as unreadable:
            log.error("log_record_unreadable", topic=topic, offset=record.offset, why=str(unreadable))  # noqa: TRY400 -- said
    return found
