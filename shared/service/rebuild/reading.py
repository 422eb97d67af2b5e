"""From a log in Kafka to a table on disk, by run."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pydantic import ValidationError

from schemas.envelope import HEADER
from schemas.log import JournalWritten, RunChanged
from schemas.message import Message
from shared.bus import header_map, stream
from shared.config import Settings
from shared.service.rebuild.spill import Row, Spill

log = structlog.get_logger()

WARNED = 20
"""Records that cannot be read which are logged one by one; all of them are counted."""


async def spilled(
    settings: Settings,
    topic: str,
    kind: type[Message],
    wanted: Callable[[str, int], bool] = lambda *_: True,
    since: Mapping[str, int] | None = None,
) -> Spill:
    """The records of the log, undecoded, that are wanted by their run and time. Close it after use.

    `since`: only those from these offsets on, by partition. Raises KafkaError and LogDamaged.
    """
    spill = Spill()
    try:
        async for records in stream(settings, topic, since):
            await asyncio.to_thread(spill.add, [row for row in _rows(records, kind) if wanted(row.run, row.at)])
        await asyncio.to_thread(spill.ready)
    except BaseException:
        spill.close()
        raise
    return spill


def _rows(records: Sequence[Any], kind: type[Message]) -> Iterable[Row]:
    """Without a payload where the type is another one: the run then has a record that cannot be read."""
    for record in records:
        named = header_map(record.headers).get(HEADER["type"], b"").decode(errors="replace")
        value = record.value if named == kind.wire_type() else None
        yield Row((record.key or b"").decode(errors="replace"), record.timestamp, record.partition, value)


def change_in(row: Row) -> RunChanged | None:
    """The change in a record of `runs.log`; None when it cannot be read."""
    with suppress(ValidationError):
        return RunChanged.read(row.value) if row.value is not None else None
    return None


def entry_in(row: Row) -> JournalWritten | None:
    """The entry in a record of `journal`; None when it cannot be read."""
    with suppress(ValidationError):
        return JournalWritten.read(row.value) if row.value is not None else None
    return None


class Unread:
    """Counts the records of one log that cannot be read, and names the first of them."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.count = 0

    def of(self, run: str, found: Sequence[object]) -> int:
        """How many of these there are; each is None."""
        lost = sum(each is None for each in found)
        if lost and self.count < WARNED:
            log.error("log_record_unreadable", topic=self._topic, run=run, records=lost)
        self.count += lost
        return lost
