"""Erasing keys of compacted topics with tombstones."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from shared.bus.outages import mapped
from shared.bus.publishing import ending_if_broken
from shared.bus.security import connection
from shared.config import Settings


class Erased(NamedTuple):
    """A key to erase from a compacted topic."""

    topic: str
    key: str
    partition: int | None = None
    """None: the key's default partition."""


class TombstoneWriter:
    """Erases keys of compacted topics with tombstones (records without a value), which FastStream cannot publish."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connection(settings)
        self._producer: AIOKafkaProducer | None = None

    async def erase(self, keys: Iterable[Erased]) -> None:
        """Erase keys and return when Kafka has acknowledged it. Raises KafkaError."""
        with ending_if_broken():
            sent = [await self._open.send(each.topic, key=each.key.encode(), partition=each.partition) for each in keys]
            await asyncio.gather(*sent)

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        self._producer = AIOKafkaProducer(**self._connection, acks="all", enable_idempotence=True)
        with mapped():
            await self._producer.start()

    @property
    def _open(self) -> AIOKafkaProducer:
        assert self._producer is not None, "a tombstone writer is started before use"
        return self._producer

    async def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            await self._producer.stop()
