"""Copies a log from Kafka to a table on disk, by run."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pydantic import ValidationError

from schemas.envelope import HEADER
from schemas.log import JournalWritten, RunChanged
from schemas.message import Message
from shared.archive import ArchiveUnavailable
from shared.archive.run_keys import RunKeys
from shared.bus import header_map
from shared.bus.admin import stream
from shared.bus.keyring import KeysUnavailable
from shared.config import Settings
from shared.service.rebuild.spill import Row, Spill

log = structlog.get_logger()

WARNED = 20
"""Unreadable records that are logged one by one; all of them are counted."""


async def spill_log(
    settings: Settings,
    topic: str,
    kind: type[Message],
    wanted: Callable[[Row], bool] = lambda _: True,
    since: Mapping[str, int] | None = None,
) -> Spill:
    """Copy the records of the log, undecoded, that are `wanted`. Close the spill after use.

    Clear records of forgotten runs are left out, as readers leave out sealed ones. `since`: start at these offsets, by
    partition. Raises KafkaError and LogDamaged.
    """
    gone, spill = await _forgotten(settings), Spill()
    try:
        async for records in stream(settings, topic, since):
            kept = [row for row in _rows(records, kind) if row.run not in gone and wanted(row)]
            await asyncio.to_thread(spill.add, kept)
        await asyncio.to_thread(spill.build_index)
    except BaseException:
        spill.close()
        raise
    return spill


async def _forgotten(settings: Settings) -> frozenset[str]:
    """Return the forgotten runs. Raises KeysUnavailable."""
    if not settings.seal:
        return frozenset()
    keys = RunKeys(settings.postgres)
    try:
        return await keys.forgotten()
    except ArchiveUnavailable as outage:
        raise KeysUnavailable(str(outage)) from outage
    finally:
        await keys.close()


def _rows(records: Sequence[Any], kind: type[Message]) -> Iterable[Row]:
    """Yield a row per record. A record of another type has no payload there, and counts as unreadable."""
    for record in records:
        named = header_map(record.headers).get(HEADER["type"], b"").decode(errors="replace")
        value = record.value if named == kind.wire_type() else None
        yield Row((record.key or b"").decode(errors="replace"), record.timestamp, record.partition, value)


def change_in(row: Row) -> RunChanged | None:
    """Return the change in a record of `runs.log`; None if it is unreadable."""
    with suppress(ValidationError):
        return RunChanged.read(row.value) if row.value is not None else None
    return None


def entry_in(row: Row) -> JournalWritten | None:
    """Return the entry in a record of `journal`; None if it is unreadable."""
    with suppress(ValidationError):
        return JournalWritten.read(row.value) if row.value is not None else None
    return None


class UnreadCounter:
    """Counter of the unreadable records of one log; logs the first of them."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.count = 0

    def count_in(self, run: str, found: Sequence[object]) -> int:
        """Count the unreadable records of a run, which are None in `found`."""
        lost = sum(each is None for each in found)
        if lost and self.count < WARNED:
            log.error("log_record_unreadable", topic=self._topic, run=run, records=lost)
        self.count += lost
        return lost
