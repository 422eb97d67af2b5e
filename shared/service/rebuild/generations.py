"""Generations of the blackboard, each with a new number that is recorded in Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas.log import GenerationBegun
from schemas.message import Message
from shared.bus import decode, encode, publish_once
from shared.bus.admin import partition_counts, read_topic
from shared.config import Settings
from shared.errors import InvalidMessage, LogDamaged
from shared.service.rebuild.incomplete import SOURCE
from shared.service.rebuild.report import Report

log = structlog.get_logger()

LOGS = ("runs.log", "journal")
"""Topics from which the blackboard is rebuilt."""


async def check_logs(settings: Settings, report: Report) -> None:
    """Raise LogDamaged for a log that is missing, or has fewer partitions than the last generation was made from.

    More partitions are fine: a run is folded over all of them.
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
            reset = f"if its records are no longer needed, recreate the topic {settings.topic_prefix}generations"
            raise LogDamaged(f"{lost}; {reset}")


async def next_epoch(settings: Settings, report: Report) -> int:
    """Return a new epoch, recorded in Kafka before it is used."""
    now = datetime.now(UTC)
    begun = GenerationBegun(epoch=report.epoch + 1, at=now, partitions=report.partitions)
    key, prefix = "blackboard", settings.topic_prefix
    await publish_once(
        settings, encode(begun, id=f"generation/{begun.epoch}", source=SOURCE, prefix=prefix, now=now, key=key)
    )
    return begun.epoch


async def messages(settings: Settings, topic: str, report: Report) -> AsyncIterator[list[Message]]:
    """Yield the messages of a small log, one list per partition."""
    async for records in read_topic(settings, topic):
        found = await asyncio.to_thread(_decode, records, topic, settings.topic_prefix)
        report.unreadable += len(records) - len(found)
        yield found


def _decode(records: Sequence[Any], topic: str, prefix: str) -> list[Message]:
    """Decode the readable records."""
    found: list[Message] = []
    for record in records:
        try:
            found.append(decode(record, prefix).message)
        except InvalidMessage as unreadable:
            log.error("log_record_unreadable", topic=topic, offset=record.offset, reason=str(unreadable))  # noqa: TRY400 -- in `reason`
    return found
