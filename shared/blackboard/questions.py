"""Open questions of a tenant's runs, those of the longest waiting runs first."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import TypeAdapter

from schemas.budget import Budget, Usage
from schemas.message import Part
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.entries import questions_in
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


async def open_questions_of(redis: Client, tenant: str, limit: int, offset: int = 0) -> QuestionsFound:
    """Return the open questions of at most `limit` runs of the tenant."""
    ids = await redis.zrange(keys.runs_asking(tenant), offset, offset + limit)
    async with redis.pipeline(transaction=False) as pipe:
        for run_id in ids[:limit]:
            pipe.hmget(keys.run(tenant, run_id), _FIELDS)
        records = await pipe.execute()
    found = [_asking(run_id, _given(values)) for run_id, values in zip(ids, records, strict=False)]
    return QuestionsFound([each for each in found if each], offset + limit if len(ids) > limit else None)


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
