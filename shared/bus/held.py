"""Partitions that are held, at what their reader cannot read."""

from typing import NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

log = structlog.get_logger()


class Held(NamedTuple):
    """An unreadable batch, or a record whose key is missing, at which a partition is held."""

    first: int
    """First offset of the batch, if its header is plausible."""
    at: int
    """The offset of the next record to read."""
    end: int
    """The offset after the batch."""
    why: str


class Unreadable(KafkaError):  # type: ignore[misc]
    """A range contains an unreadable batch."""

    def __init__(self, partition: TopicPartition, held: Held) -> None:
        place = partition_name(partition)
        super().__init__(f"{place} cannot be read from offset {held.at} up to {held.end}: {held.why}")
        self.held = held


def partition_name(partition: TopicPartition) -> str:
    """Return `<topic>/<partition>`."""
    return f"{partition.topic}/{partition.partition}"


def log_held(partition: TopicPartition, held: Held) -> None:
    """Log that a partition is held."""
    extent = {"first": held.first, "offset": held.at, "end": held.end}
    log.error("partition_held", topic=partition.topic, partition=partition.partition, **extent, reason=held.why)
