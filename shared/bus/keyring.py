"""Sealing and opening of records at the bus: everything above it reads and writes clear values.

Writing: values of records that belong to a run are sealed under its key if `WAGGLE_SEAL` is on. Reading: sealed records
are opened in any case, and those of forgotten runs are left out, as if Kafka no longer held them.
"""

import asyncio
import dataclasses
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from schemas.timer import TimerSet
from shared.archive import ArchiveUnavailable
from shared.archive.run_keys import Keys, RunKeys
from shared.bus.owners import owner_of, waits
from shared.bus.sealing import (
    SEALED,
    Damaged,
    Owner,
    Seal,
    Sealed,
    is_sealed,
    seal,
    seal_named,
    to_bytes,
    to_text,
    unseal,
)
from shared.bus.shares import OUTSIDE
from shared.config import Settings
from shared.errors import Forgotten
from shared.telemetry.logs import SELDOM

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

CACHED = 2_000
"""Keys that a process caches."""

CACHED_FOR = 30.0
"""Seconds a key is cached: for so long a process may still read a run that was forgotten."""

RESTORE = "restore the rows of run_keys from a backup of Postgres, or give the run up (docs/forgetting.md)"
"""Advice of the error about a missing key."""

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


class Missing(NamedTuple):
    """A record that cannot be opened, since its key is neither there nor destroyed."""

    offset: int
    run: str
    why: str


class Opened(NamedTuple):
    """Records with clear values."""

    records: list[Raw]
    missing: Missing | None = None
    """The record after them, if it is to be held."""


class _Known(NamedTuple):
    keys: Sequence[bytes] | None
    until: float
    used: bool
    """True if the database has noted the use of the key."""


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
        runs = {each.owner.run: each.owner.tenant for each in prepared if each.owner is not None}
        keys = await self._keys(runs, make=True)

        def work() -> list[Sealed]:
            return [_sealed(each, keys) for each in prepared]

        return await asyncio.to_thread(work) if _are_large(records) else work()

    @property
    def seals(self) -> bool:
        """True if this installation seals what it writes."""
        return self._seals

    async def opened(self, records: Sequence[Raw], *, hold: bool = False) -> Opened:
        """Return the records with clear values, without those of forgotten runs. Raises KeysUnavailable.

        A record that its key does not open is returned as it is: no version can read it. `hold`: records end before one
        whose key is missing, as a restored database may lack the last keys; otherwise that, too, is returned as it is.
        """
        seals = [_seal_of(each) for each in records]
        runs = {each.owner.run: each.owner.tenant for each in seals if each is not None}
        if not runs:
            return Opened(list(records))
        keys = await self._keys(runs)
        missing = self._missing(records, seals, keys) if hold else None
        if missing is not None:
            self._expire(missing.run)

        def work() -> list[Raw]:
            pairs = [
                pair for pair in zip(records, seals, strict=True) if missing is None or pair[0].offset < missing.offset
            ]
            return [found for each, named in pairs if (found := _opened(each, named, keys)) is not None]

        return Opened(await asyncio.to_thread(work) if _are_large(records) else work(), missing)

    async def require(self, tenant: str, run: str) -> None:
        """Raise Forgotten if the run was forgotten; make its key otherwise. Raises KeysUnavailable.

        Asks in any case: a cached key may have been destroyed since.
        """
        if self._seals and (await self._asked({run: tenant}, make=True))[run] is None:
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

    def _missing(self, records: Sequence[Raw], seals: Sequence[Seal | None], keys: Keys) -> Missing | None:
        """Return the first record whose key is missing.

        One on a topic that is written from outside may name any run and any key: it is left to be a dead letter, which
        an operator can redrive once the key is restored, and holds nothing up.
        """
        for record, named in zip(records, seals, strict=True):
            outside = record.topic.removeprefix(self._prefix) in OUTSIDE
            if named is not None and not outside and is_sealed(record.value or b"") and _lacks(named, keys):
                run = named.owner.run
                return Missing(record.offset, run, f"the key of {run} is missing: {RESTORE}")
        return None

    async def _keys(self, runs: Mapping[str, str], *, make: bool = False) -> Keys:
        """Return the keys of these runs, given with their tenants. `make`: a run that has none gets one."""
        now = time.monotonic()
        fresh = {each: known for each in runs if (known := self._known.get(each)) and known.until > now}
        cached = {each: known.keys for each, known in fresh.items() if known.used or not make}
        rest = {each: tenant for each, tenant in runs.items() if each not in cached}
        return cached | dict(await self._asked(rest, make=make)) if rest else cached

    async def _asked(self, runs: Mapping[str, str], *, make: bool) -> Keys:
        """Return keys from the database, and put those back there that it had and has lost."""
        had = {each: known.keys[0] for each in runs if (known := self._known.get(each)) and known.keys}
        try:
            found = await (self._store.make(runs, had) if make else self._store.get(list(runs)))
            lost = {run: key for run, key in had.items() if not _has(found.get(run, ()), key)}
            if lost:
                await self._store.add(runs, lost)
                log.warning("run_keys_put_back", runs=len(lost))
                found = {**found, **await self._store.get(list(lost))}
        except ArchiveUnavailable as outage:
            raise KeysUnavailable(f"the keys of runs are unavailable: {outage}") from outage
        self._remember(found, used=make)
        return found

    def _expire(self, run: str) -> None:
        """Ask for the keys of a run the next time."""
        if known := self._known.get(run):
            self._known[run] = known._replace(until=0.0)

    def _remember(self, found: Keys, *, used: bool) -> None:
        until = time.monotonic() + CACHED_FOR
        for run, keys in found.items():
            self._known[run] = _Known(keys, until, used)
            self._known.move_to_end(run)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)


def _has(keys: Sequence[bytes] | None, key: bytes) -> bool:
    """Return True if a key is there, or its run was forgotten."""
    return keys is None or key in keys


def _lacks(named: Seal, keys: Keys) -> bool:
    """Return True if a record's run was not forgotten, and does not have the key that the record names."""
    found = keys.get(named.owner.run, ())
    return found is not None and not named.fitting(found)


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
    if (found := keys[owner.run]) is None:
        raise Forgotten(f"{owner.run} was forgotten")
    key = found[0]
    if timer is None:
        return seal(owner, key, record.headers, record.value)
    headers, value = seal(owner, key, timer.headers, timer.value.encode())
    waiting = timer.model_copy(update={"headers": headers, "value": to_text(value)})
    return Sealed(dict(record.headers), waiting.written().encode())


def _seal_of(record: Raw) -> Seal | None:
    """Return the seal that a record names; None for a clear one."""
    for name, value in record.headers:
        if name == SEALED:
            return seal_named((value or b"").decode(errors="replace"))
    return None


def _opened(record: Raw, named: Seal | None, keys: Keys) -> Raw | None:
    """Return the record with a clear value; None if its run was forgotten."""
    if named is None:
        return record
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "run": named.owner.run}
    if _lacks(named, keys):
        log.error("run_key_missing", **place, **SELDOM)
        return record
    if (found := keys[named.owner.run]) is None:
        log.debug("record_of_forgotten_run_skipped", **place)
        return None
    try:
        hidden, value = unseal(named.owner, named.fitting(found), record.value or b"")
    except Damaged as damaged:
        log.warning("sealed_record_damaged", **place, reason=str(damaged), **SELDOM)
        return record
    headers = [(name, each) for name, each in record.headers if name != SEALED]
    headers += [(name, text.encode()) for name, text in hidden.items()]
    return dataclasses.replace(record, headers=tuple(headers), value=value)
