"""Open questions of a tenant's runs: by the age of the run's oldest one, or by risk, then age."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import TypeAdapter

from schemas.api.runs import RunSummary
from schemas.budget import Budget, Usage
from schemas.message import Part
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.entries import UNREADABLE, questions_in, unreadable_row
from shared.blackboard.places import place_of, run_at
from shared.blackboard.unreadable import UnreadableRun
from shared.runs.open_question import OpenQuestion


class _Brief(Part):
    """Parts of a task that a question is shown with."""

    objective: str
    budget: Budget = Budget()


_BRIEF, _USAGE = TypeAdapter(_Brief), TypeAdapter(Usage)
_FIELDS = ("version", "state", "questions", "request", "task", "usage", "started")
"""Fields that are read of each record: the rest of a run is not needed to show its questions."""


class Asking(NamedTuple):
    """Open questions of one run."""

    run_id: str
    objective: str
    budget: Budget
    usage: Usage
    questions: Sequence[OpenQuestion]


class QuestionsFound(NamedTuple):
    """Some runs with open questions."""

    runs: list[Asking | UnreadableRun]
    end: int | None
    """Number of runs up to the next page; None on the last one."""


class Placed(NamedTuple):
    """An open question at its place in the inbox."""

    place: str
    run: Asking
    question: OpenQuestion


class Slice(NamedTuple):
    """Places of one page of the inbox, and how many there are in all and before it."""

    places: Sequence[str]
    total: int
    before: int


class InboxPage(NamedTuple):
    """One page of the inbox."""

    questions: list[Placed]
    unreadable: list[RunSummary]
    """Runs that wait for a person and have unreadable records: on the first page, and those found on the way."""
    slice: Slice
    last: str | None
    """Place of the last question; None if no other follows."""


async def open_questions_of(redis: Client, tenant: str, limit: int, offset: int = 0) -> QuestionsFound:
    """Return the open questions of at most `limit` runs of the tenant."""
    ids = await redis.zrange(keys.runs_asking(tenant), offset, offset + limit)
    found = await _read(redis, tenant, ids[:limit])
    return QuestionsFound([each for each in found if each], offset + limit if len(ids) > limit else None)


async def read_inbox(
    redis: Client, tenant: str, limit: int, offset: int = 0, after: str | None = None, runs: Sequence[str] = ()
) -> InboxPage:
    """Return at most `limit` open questions in the order of their places.

    `after`: those after a place, not after `offset` others. `runs`: those of these runs.
    """
    found = await (_of_runs(redis, tenant, runs) if runs else _slice(redis, tenant, limit, offset, after))
    places = found.places[:limit]
    ids = list(dict.fromkeys(map(run_at, places)))
    read = dict(zip(ids, await _read(redis, tenant, ids), strict=True))
    at = {each.place: each for run in read.values() for each in _placed(run)}
    rows = {
        row.run_id: row for row in (await _unreadable(redis, tenant, limit) if not found.before and not runs else ())
    }
    rows |= {run.run_id: unreadable_row(run) for run in read.values() if isinstance(run, UnreadableRun)}
    last = places[-1] if len(found.places) > limit else None
    return InboxPage([at[place] for place in places if place in at], list(rows.values()), found, last)


async def _slice(redis: Client, tenant: str, limit: int, offset: int, after: str | None) -> Slice:
    """Return the places of a page, and the next one."""
    key = keys.questions(tenant)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.zcard(key)
        if after is None:
            pipe.zrange(key, offset, offset + limit)
        else:
            pipe.zrange(key, f"({after}", "+", bylex=True, offset=0, num=limit + 1)
            pipe.zlexcount(key, "-", f"[{after}")
        total, places, *skipped = await pipe.execute()
    return Slice(places, total, skipped[0] if skipped else min(offset, total))


async def _of_runs(redis: Client, tenant: str, ids: Sequence[str]) -> Slice:
    """Return the places of all questions of these runs."""
    lines = await redis.hmget(keys.question_places(tenant), list(dict.fromkeys(ids)))
    places = sorted(place for each in lines if each for place in each.split("\n"))
    return Slice(places, len(places), 0)


def _placed(run: Asking | UnreadableRun | None) -> list[Placed]:
    if not isinstance(run, Asking):
        return []
    return [Placed(place_of(run.run_id, each.asked), run, each) for each in run.questions]


async def _unreadable(redis: Client, tenant: str, most: int) -> list[RunSummary]:
    """Return runs that the index knows as unreadable."""
    ids = await redis.zrange(keys.runs_tagged(tenant, UNREADABLE), 0, most - 1)
    rows = await redis.hmget(keys.runs_shown(tenant), ids) if ids else []
    return [RunSummary.model_validate_json(row) for row in rows if row]


async def _read(redis: Client, tenant: str, ids: Sequence[str]) -> list[Asking | UnreadableRun | None]:
    """Return the questions of these runs."""
    async with redis.pipeline(transaction=False) as pipe:
        for run_id in ids:
            pipe.hmget(keys.run(tenant, run_id), _FIELDS)
        records = await pipe.execute()
    return [_asking(run_id, _given(values)) for run_id, values in zip(ids, records, strict=True)]


def _given(values: Sequence[str | None]) -> dict[str, str]:
    return {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}


def _asking(run_id: str, fields: Mapping[str, str]) -> Asking | UnreadableRun | None:
    """Return the questions of a run; None if it has expired, or was answered a moment ago."""
    try:
        if not fields:
            return None
        task, usage = _BRIEF.validate_json(fields["task"]), _USAGE.validate_json(fields["usage"])
        questions = questions_in(fields)
        return Asking(run_id, task.objective, task.budget, usage, questions) if questions else None
    except (ValueError, KeyError) as wrong:
        return UnreadableRun(run_id, fields, "", wrong)
