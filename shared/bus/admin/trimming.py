"""Clear records of forgotten runs: found in every topic, deleted where no consumer needs the records before them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.timer import TimerSet
from shared.bus.admin.lag import committed_offsets
from shared.bus.admin.topic_reader import reading
from shared.bus.outages import mapped
from shared.bus.owners import owner_of, waits
from shared.bus.record import header_map, time_of
from shared.bus.sealing import SEALED
from shared.bus.security import connection
from shared.config import Settings

RESULTS = "results"

_TRIMMED = ("tasks", "runs", "control", "decisions", "evaluations", "notifications", RESULTS)
"""Topics of work and its outcome, besides those of agents: who has passed a record does not need it."""

_TABLES = ("cards", "generations", "stops", "skips", "dead.actions", "memories")
"""Tables that hold nothing of a run, or are forgotten by themselves."""

log = structlog.get_logger()


@dataclass(slots=True)
class Left:
    """Clear records of these runs in one topic."""

    topic: str
    """Without the prefix."""
    last: dict[TopicPartition, int] = field(default_factory=dict)
    """Offset after the last of them, by partition."""
    number: int = 0
    newest: datetime | None = None
    deleted: bool = False
    until: datetime | None = None
    """Time at which Kafka's retention removes the newest, if the broker reports it."""

    def add(self, partition: TopicPartition, record: Any) -> None:
        """Count a record."""
        self.last[partition] = record.offset + 1
        self.number += 1
        at = time_of(record)
        self.newest = at if self.newest is None else max(self.newest, at)


async def clear_records(settings: Settings, runs: Collection[str]) -> list[Left]:
    """Return the clear records of these runs, by topic. Sealed ones cannot be read any more. Raises KafkaError."""
    found: dict[str, Left] = {}
    async with reading(settings, lambda name: name not in _TABLES) as reader:
        for topic, partitions in reader.partitions.items():
            if topic in _TABLES:
                continue
            for partition in partitions:
                async for record in reader.between(partition, *await reader.bounds(partition)):
                    if _run_of(topic, record) in runs:
                        found.setdefault(topic, Left(topic)).add(partition, record)
    return list(found.values())


async def trim(settings: Settings, left: Collection[Left]) -> None:
    """Delete these records, with all before them, where every consumer group has passed them; note what stays."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        with mapped():
            await admin.start()
        for each in left:
            each.until = await _until(admin, settings.topic_prefix + each.topic, each.newest)
            if each.topic in _TRIMMED or (each.topic.startswith("agents.") and not each.topic.endswith(".dlt")):
                each.deleted = await _deleted(admin, each.last)
    finally:
        await admin.close()


def _run_of(topic: str, record: Any) -> str | None:
    """Return the run of a clear record."""
    key = (record.key or b"").decode(errors="replace")
    value, headers = record.value or b"", header_map(record.headers)
    if topic == RESULTS:
        return key
    if waits(topic):
        with suppress(ValueError):
            timer = TimerSet.read(value)
            if SEALED in timer.headers:
                return None
            owner = owner_of(timer.topic, timer.key, timer.headers, timer.value.encode())
            return owner.run if owner else None
        return None
    owner = owner_of(topic, key, {name: each.decode(errors="replace") for name, each in headers.items()}, value)
    return owner.run if owner else None


async def _deleted(admin: AIOKafkaAdminClient, last: Mapping[TopicPartition, int]) -> bool:
    """Delete the records before these offsets; return False where a group needs them, or the broker cannot."""
    try:
        if not await _all_have_passed(admin, last):
            return False
        await admin.delete_records({place: RecordsToDelete(before_offset=end) for place, end in last.items()})
    except KafkaError as refused:
        log.info("records_not_deleted", error=repr(refused))
        return False
    return True


async def _all_have_passed(admin: AIOKafkaAdminClient, last: Mapping[TopicPartition, int]) -> bool:
    """Return True if some group reads each partition, and every one that does has passed its offset."""
    reached: dict[TopicPartition, list[int]] = defaultdict(list)
    for group, *_ in await admin.list_consumer_groups():
        for place, offset in (await committed_offsets(admin, group, list(last))).items():
            if offset >= 0:
                reached[place].append(offset)
    return all(reached[place] and min(reached[place]) >= end for place, end in last.items())


async def _until(admin: AIOKafkaAdminClient, topic: str, newest: datetime | None) -> datetime | None:
    """Return the time at which retention removes a record of that time; None if the broker does not report it."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": None})]
    with suppress(KafkaError, ValueError):
        for answer in await admin.describe_configs(asked):
            for milliseconds in _retentions(answer):
                return None if newest is None else newest + timedelta(milliseconds=milliseconds)
    return None


def _retentions(answer: Any) -> Iterator[int]:
    for resource in answer.resources:
        for name, value, *_ in resource[4]:
            if name == "retention.ms" and int(value) > 0:
                yield int(value)
