"""Sealing and opening of records at the bus: everything above it reads and writes clear values.

Writing: values of records that belong to a run are sealed under its key if `WAGGLE_SEAL` is on. Reading: sealed records
are opened in any case, and those of forgotten runs are left out, as if Kafka no longer held them.
"""

import asyncio
import dataclasses
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from schemas.timer import TimerSet
from shared.archive import ArchiveUnavailable
from shared.archive.run_keys import Keys, RunKeys
from shared.bus.owners import owner_of, waits
from shared.bus.sealing import SEALED, Damaged, Owner, Sealed, is_sealed, owner_named, seal, to_bytes, to_text, unseal
from shared.config import Settings
from shared.errors import Forgotten
from shared.telemetry.logs import SELDOM

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

CACHED = 2_000
"""Keys that a process caches."""

CACHED_FOR = 30.0
"""Seconds a key is cached: for so long a process may still read a run that was forgotten."""

THREADED = 131_072
"""Bytes of values above which they are sealed or opened in a thread."""

log = structlog.get_logger()


class KeysUnavailable(KafkaError):  # type: ignore[misc]
    """The keys of runs are unavailable: the same call may succeed later."""


class Clear(NamedTuple):
    """A record to be written."""

    topic: str
    """With the prefix."""
    key: str
    headers: Mapping[str, str]
    value: bytes


class _Prepared(NamedTuple):
    """A record to be written, and whose content it is."""

    record: Clear
    timer: TimerSet | None
    """The timer that the record sets; then the content is that of the record in it."""
    owner: Owner | None


class _Known(NamedTuple):
    key: bytes | None
    until: float


class Keyring:
    """Keys of runs, cached for a while. Connects to Postgres at the first record that needs a key."""

    def __init__(self, settings: Settings) -> None:
        self._seals = settings.seal
        self._prefix = settings.topic_prefix
        self._store = RunKeys(settings.postgres)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def sealed(self, records: Sequence[Clear]) -> list[Sealed]:
        """Return headers and value of each record as they are to be written.

        Raises Forgotten for a record of a forgotten run, KeysUnavailable.
        """
        if not self._seals:
            return [_as_is(each) for each in records]
        prepared = [self._prepared(each) for each in records]
        keys = await self._made({each.owner.run: each.owner.tenant for each in prepared if each.owner is not None})

        def work() -> list[Sealed]:
            return [_sealed(each, keys) for each in prepared]

        return await asyncio.to_thread(work) if _are_large(records) else work()

    async def opened(self, records: Sequence[Raw], *, hold: bool = False) -> list[Raw]:
        """Return the records with clear values, without those of forgotten runs.

        A record that its key does not open is returned as it is: no version can read it. Raises KeysUnavailable.
        `hold`: also for a record without a key, in an installation that seals: a restored database may lack the last
        keys, and the reader must not pass what it could still read.
        """
        owners = [_owner_in(each) for each in records]
        if not any(owners):
            return list(records)
        keys = await self._found({each.run for each in owners if each is not None})
        if hold and self._seals:
            _require_keys(records, owners, keys)

        def work() -> list[Raw]:
            pairs = zip(records, owners, strict=True)
            return [found for each, owner in pairs if (found := _opened(each, owner, keys)) is not None]

        return await asyncio.to_thread(work) if _are_large(records) else work()

    async def require(self, tenant: str, run: str) -> None:
        """Raise Forgotten if the run was forgotten; make its key otherwise. Raises KeysUnavailable.

        Asks in any case: a cached key may have been destroyed since.
        """
        if self._seals and self._remember(await _asked(self._store.make({run: tenant})))[run] is None:
            raise Forgotten(f"{run} was forgotten")

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()

    def _prepared(self, record: Clear) -> _Prepared:
        """Return the record with its owner; a record without content, or sealed before, has none."""
        topic = record.topic.removeprefix(self._prefix)
        if not record.value or is_sealed(record.value) or SEALED in record.headers:
            return _Prepared(record, None, None)
        if not waits(topic):
            return _Prepared(record, None, owner_of(topic, record.key, record.headers, record.value))
        timer = TimerSet.read(record.value)
        if SEALED in timer.headers:
            return _Prepared(record, None, None)
        return _Prepared(record, timer, owner_of(timer.topic, timer.key, timer.headers, timer.value.encode()))

    async def _made(self, runs: Mapping[str, str]) -> Keys:
        known, missing = self._cached(runs)
        if missing:
            known |= self._remember(await _asked(self._store.make({each: runs[each] for each in missing})))
        return known

    async def _found(self, runs: Iterable[str]) -> Keys:
        known, missing = self._cached(runs)
        if missing:
            known |= self._remember(await _asked(self._store.get(missing)))
        return known

    def _cached(self, runs: Iterable[str]) -> tuple[dict[str, bytes | None], list[str]]:
        """Return the cached keys, and the runs that have none."""
        now, known, missing = time.monotonic(), dict[str, bytes | None](), list[str]()
        for run in runs:
            cached = self._known.get(run)
            if cached is not None and cached.until > now:
                known[run] = cached.key
            else:
                missing.append(run)
        return known, missing

    def _remember(self, found: Keys) -> Keys:
        until = time.monotonic() + CACHED_FOR
        for run, key in found.items():
            self._known[run] = _Known(key, until)
            self._known.move_to_end(run)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return found


async def _asked(answer: Any) -> Keys:
    try:
        found: Keys = await answer
    except ArchiveUnavailable as outage:
        raise KeysUnavailable(f"the keys of runs are unavailable: {outage}") from outage
    return found


def _are_large(records: Sequence[Any]) -> bool:
    return sum(len(each.value or b"") for each in records) > THREADED


def _as_is(record: Clear) -> Sealed:
    """Return the record unsealed, or as it was sealed for a timer."""
    value = to_bytes(record.value) if SEALED in record.headers and not is_sealed(record.value) else record.value
    return Sealed(dict(record.headers), value)


def _sealed(prepared: _Prepared, keys: Keys) -> Sealed:
    record, timer, owner = prepared
    if owner is None:
        return _as_is(record)
    if (key := keys[owner.run]) is None:
        raise Forgotten(f"{owner.run} was forgotten")
    if timer is None:
        return seal(owner, key, record.headers, record.value)
    headers, value = seal(owner, key, timer.headers, timer.value.encode())
    waiting = timer.model_copy(update={"headers": headers, "value": to_text(value)})
    return Sealed(dict(record.headers), waiting.written().encode())


def _owner_in(record: Raw) -> Owner | None:
    """Return the owner that a sealed record names; None for others."""
    for name, value in record.headers:
        if name == SEALED:
            return owner_named((value or b"").decode(errors="replace"))
    return None


def _require_keys(records: Sequence[Raw], owners: Sequence[Owner | None], keys: Keys) -> None:
    """Raise KeysUnavailable if a sealed record's run has no key and was not forgotten."""
    for record, owner in zip(records, owners, strict=True):
        if owner is not None and owner.run not in keys and is_sealed(record.value or b""):
            log.error("run_key_missing", **_place(record, owner), **SELDOM)
            raise KeysUnavailable(f"{owner.run} has no key and was not forgotten: restore the table run_keys")


def _place(record: Raw, owner: Owner) -> dict[str, Any]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset, "run": owner.run}


def _opened(record: Raw, owner: Owner | None, keys: Keys) -> Raw | None:
    """Return the record with a clear value; None if its run was forgotten."""
    if owner is None:
        return record
    place = _place(record, owner)
    if owner.run not in keys:
        log.error("run_key_missing", **place, **SELDOM)
        return record
    if (key := keys[owner.run]) is None:
        log.debug("record_of_forgotten_run_skipped", **place)
        return None
    try:
        hidden, value = unseal(owner, key, record.value or b"")
    except Damaged as damaged:
        log.warning("sealed_record_damaged", **place, reason=str(damaged), **SELDOM)
        return record
    headers = [(name, each) for name, each in record.headers if name != SEALED]
    headers += [(name, text.encode()) for name, text in hidden.items()]
    return dataclasses.replace(record, headers=tuple(headers), value=value)
