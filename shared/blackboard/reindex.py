"""Makes missing and outdated entries of the index from the records: those of runs that an earlier release wrote."""

from collections.abc import Sequence

from shared.blackboard import keys
from shared.blackboard.entries import Entry, entry_of, unreadable_entry
from shared.blackboard.runs import read_run
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel
from shared.blackboard.unreadable import UnreadableRun

_REINDEX = script("reindex", using=("index",))

AT_ONCE = 50
"""Runs that are read at once: the event loop does nothing else for about 25 ms."""


def around(tenant: str) -> list[str]:
    """Return the key of a run's record in two parts, those before and after its id."""
    return keys.run(tenant, "\0").split("\0")


async def reindex(sentinel: Sentinel, tenant: str, ids: Sequence[str]) -> None:
    """Replace the entries of these runs. A run that changes meanwhile keeps its own."""
    for start in range(0, len(ids), AT_ONCE):
        await _reindex(sentinel, tenant, ids[start : start + AT_ONCE])


async def _reindex(sentinel: Sentinel, tenant: str, ids: Sequence[str]) -> None:
    generation = sentinel.generation
    async with sentinel.client.pipeline(transaction=False) as pipe:
        for run_id in ids:
            pipe.hgetall(keys.run(tenant, run_id))
        records = await pipe.execute()
    async with sentinel.client.pipeline(transaction=False) as pipe:
        for run_id, fields in zip(ids, records, strict=True):
            if fields:
                parts = keys.runs(tenant), keys.run(tenant, run_id), keys.SENTINEL
                entry = _entry(run_id, fields)
                pipe.eval(_REINDEX.text, len(parts), *parts, generation, fields.get("version", "0"), *entry)
        await pipe.execute()


def _entry(run_id: str, fields: dict[str, str]) -> Entry:
    try:
        run, version = read_run(fields)
        assert run is not None, "a record has fields"
        return entry_of(run, version)
    except (ValueError, KeyError) as wrong:
        return unreadable_entry(UnreadableRun(run_id, fields, "", wrong))
