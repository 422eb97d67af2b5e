"""Generations of the blackboard: each has a number that none before it had, kept in Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas.log import GenerationBegun
from schemas.message import Message
from shared.bus import decode, encode, history, partition_counts, publish_once
from shared.config import Settings
from shared.errors import InvalidMessage, LogDamaged
from shared.service.rebuild.report import Report
from shared.service.rebuild.restoring import SOURCE

log = structlog.get_logger()

LOGS = ("runs.log", "journal")
"""What the blackboard is made from."""


async def check_logs(settings: Settings, report: Report) -> None:
    """Raise LogDamaged for a log that is gone, or has fewer partitions than the last generation was made from.

    More partitions do no harm: a run is folded over all of them.
    """
    report.partitions = await partition_counts(settings, LOGS)
    before: dict[str, int] = {}
    async for found in messages(settings, "generations", report):
        for each in found:
            if isinstance(each, GenerationBegun):
                report.epoch, before = max(report.epoch, each.epoch), each.partitions
    for topic, count in before.items():
        if report.partitions.get(topic, 0) < count:
            has = f"has {report.partitions[topic]} partitions" if topic in report.partitions else "is gone"
            lost = f"{settings.topic_prefix}{topic} {has}; the blackboard was last made from {count}: restore the topic"
            anew = f"if what it held is of no use any more, make the topic {settings.topic_prefix}generations anew"
            raise LogDamaged(f"{lost}; {anew}")


async def next_epoch(settings: Settings, report: Report) -> int:
    """An epoch that no generation has had, in Kafka before anybody works with it."""
    now = datetime.now(UTC)
    begun = GenerationBegun(epoch=report.epoch + 1, at=now, partitions=report.partitions)
    key, prefix = "blackboard", settings.topic_prefix
    await publish_once(
        settings, encode(begun, id=f"generation/{begun.epoch}", source=SOURCE, prefix=prefix, now=now, key=key)
    )
    return begun.epoch


async def messages(settings: Settings, topic: str, report: Report) -> AsyncIterator[list[Message]]:
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
