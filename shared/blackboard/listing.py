"""Lists of a tenant's runs from the index that every write of a run keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.api.runs import RunSummary
from schemas.event import State
from shared.blackboard import keys
from shared.blackboard.entries import awaited_in, in_state, index_format
from shared.blackboard.reindex import around, reindex
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel

_FIND = script("find", using=("unindex",))
_EXPIRED = script("expired", using=("unindex",))

SLICE = 1_000
"""Entries of the index that Redis examines per call."""

MOST_EXAMINED = 50_000
"""Entries examined for one page: a page may have fewer runs than asked for although another one follows."""

_EXPIRED_AT_ONCE = 500
_ROUNDS = 5
"""Times that a slice is examined if entries in it are replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions on runs, all of which must hold."""

    tags: Sequence[str] = ()
    """Tags that a run must have."""
    any_tag: Sequence[str] = ()
    ids: Sequence[str] = ()
    """Unless both are empty: a run must have one of the tags, or one of the ids."""
    since: float | None = None
    until: float | None = None
    """Start time: from the first, before the second."""
    asked_before: float | None = None
    """Time before which a question that is still open was asked."""
    by_change: bool = False
    """The latest change first; `since` and `until` are then times of changes. Default: the newest run first."""


@dataclass(frozen=True, slots=True)
class Place:
    """Start of a page: after a run, and after so many others. By default at the newest run."""

    started: str = ""
    run_id: str = ""
    skipped: int = 0
    first: bool = True
    """False if the runs before it were examined for the same page and were too few."""


class RunsFound(NamedTuple):
    """Some runs of a list."""

    runs: list[RunSummary]
    after: Place | None
    """Place of the next page; None on the last one."""
    offset: int | None
    """Number of entries up to there, if the page was found by their number."""


class _Slice(NamedTuple):
    started: str
    run_id: str
    entries: int
    found: list[str]
    outdated: list[str]


class RunIndex:
    """Index of the runs of all tenants. Every call names the tenant."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._redis = sentinel.client
        self._scripts = sentinel.scripts

    async def count_by_state(self, tenant: str, states: Sequence[State]) -> dict[str, int]:
        """Return the number of the tenant's runs in each of the states."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in states:
                pipe.zcard(keys.runs_tagged(tenant, in_state(state)))
            found = await pipe.execute()
        return {state.value: int(count) for state, count in zip(states, found, strict=True)}

    async def find(self, tenant: str, wanted: Wanted, limit: int, place: Place | None = None) -> RunsFound:
        """Return runs that match, newest first: at most `limit`, of MOST_EXAMINED entries of the index."""
        place, rows, examined = place or Place(), list[str](), 0
        skipped = None if place.run_id else place.skipped
        walked = keys.runs_changed(tenant) if wanted.by_change else await self._smallest_set(tenant, wanted)
        while True:
            one = await self._slice(tenant, walked, wanted, limit - len(rows), place)
            rows += one.found[1::2]
            examined += one.entries
            if not one.run_id:
                return RunsFound(_shown(rows), None, None)
            place = Place(one.started, one.run_id, first=False)
            if len(rows) >= limit or examined >= MOST_EXAMINED:
                return RunsFound(_shown(rows), place, None if skipped is None else skipped + examined)

    async def select(self, tenant: str, wanted: Wanted, most: int) -> tuple[list[RunSummary], bool]:
        """Return the runs that match, and True if these are all: at most `most` are returned."""
        place: Place | None = Place()
        found: list[RunSummary] = []
        while place is not None and len(found) < most:
            page = await self.find(tenant, wanted, min(most - len(found), SLICE), place)
            found += page.runs
            place = page.after
        return found, place is None

    async def changes(self, tenant: str, ids: Sequence[str]) -> dict[str, float]:
        """Return the times since which these runs are as callers see them."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.zscore(keys.runs_changed(tenant), id)
            found = await pipe.execute()
        return {id: at for id, at in zip(ids, found, strict=True) if at is not None}

    async def count(self, tenant: str, tags: Sequence[str], since: float | None) -> int:
        """Return the number of runs with one of the tags, or of those changed since then; of all without either."""
        if tags:
            return sum([await self._redis.zcard(keys.runs_tagged(tenant, tag)) for tag in tags])
        return int(await self._redis.zcount(keys.runs_changed(tenant), "-inf" if since is None else since, "+inf"))

    async def awaited_agents(self, tenant: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the agents whose answers each of these runs awaits."""
        if not ids:
            return {}
        marks = await self._redis.hmget(keys.runs_marked(tenant), list(ids))
        return {id: awaited_in(each or "") for id, each in zip(ids, marks, strict=True)}

    async def forget_expired(self, tenant: str) -> None:
        """Remove expired runs from the index, at most so many that Redis does nothing else for a few milliseconds."""
        await self._scripts.run(_EXPIRED, [keys.runs(tenant)], [_EXPIRED_AT_ONCE, *around(tenant)])

    async def _slice(self, tenant: str, walked: str, wanted: Wanted, limit: int, place: Place) -> _Slice:
        """Return what one slice has. Outdated entries in it are replaced first."""
        length = min(SLICE, 2 * limit) if place.first else SLICE
        arguments = [*_place_arguments(place, wanted), length, limit, index_format(), *around(tenant), *_lists(wanted)]
        for _ in range(_ROUNDS):
            one = _Slice(*await self._scripts.run(_FIND, [walked, keys.runs(tenant)], arguments))
            if not one.outdated:
                break
            await reindex(self._sentinel, tenant, one.outdated)
        return one

    async def _smallest_set(self, tenant: str, wanted: Wanted) -> str:
        """Return the key of the smallest set that has every run that matches."""
        sets = [keys.runs_tagged(tenant, tag) for tag in wanted.tags]
        if len(sets) < 2:
            return sets[0] if sets else keys.runs(tenant)
        async with self._redis.pipeline(transaction=False) as pipe:
            for each in sets:
                pipe.zcard(each)
            sizes = await pipe.execute()
        return min(zip(sizes, sets, strict=True))[1]


def _place_arguments(place: Place, wanted: Wanted) -> list[str | int]:
    since = "-inf" if wanted.since is None else repr(wanted.since)
    until = "+inf" if wanted.until is None else f"({wanted.until!r}"
    return [place.skipped, place.started, place.run_id, since, until]


def _lists(wanted: Wanted) -> list[str | int]:
    asked = "" if wanted.asked_before is None else repr(wanted.asked_before)
    lists = (wanted.tags, wanted.any_tag, wanted.ids)
    items: list[str | int] = [asked]
    for each in lists:
        items += [len(each), *each]
    return items


def _shown(rows: Sequence[str]) -> list[RunSummary]:
    return [RunSummary.model_validate_json(row) for row in rows]
