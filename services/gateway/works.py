"""Works of a step, and their turns, read from the journals a page at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.api.trace import TurnPage, TurnSummary
from schemas.budget import Usage
from schemas.plan import PLANNER, REVIEWER, WRITER
from schemas.progress import RunProgress
from schemas.work import WorkAttempt
from services.gateway.dependencies import RunSnapshot
from services.gateway.errors import Refused
from services.gateway.trace import Journal, work_id_of
from services.gateway.window import UNNAMED, part_of
from shared.blackboard.journal_reader import TurnPlace, count_turns, read_entries, read_works, turn_places
from shared.runs.dispatch import PLAN, REVIEW, WRITE
from shared.service import Parts

JOURNAL_ONLY = 100
"""Turns shown of an attempt whose events are lost: only its journal has them."""

_PARTS = {PLANNER: PLAN, WRITER: WRITE, REVIEWER: REVIEW}


async def works_of(parts: Parts, snapshot: RunSnapshot, step_id: str) -> list[str]:
    """Return the work ids of a step, the latest last. Raises Refused 404 for a step that was not started."""
    every = await read_works(parts.redis, snapshot.tenant, snapshot.id)
    part = _PARTS.get(step_id, step_id)
    found = [each for each in every if part_of(each) == part]
    if not found:
        names = {value: name for name, value in _PARTS.items()}
        started = ", ".join(dict.fromkeys(names.get(part_of(each), part_of(each)) for each in every)) or "none yet"
        message = f"no agent has started a step {step_id} of the run {snapshot.id}"
        raise Refused(404, "unknown_step", message, action=f"name a step that was started: {started}")
    return found


def chosen_work(works: Sequence[str], step_id: str, handoff_id: str | None) -> str:
    """Return the work of that handoff, by default the latest. Raises Refused 404."""
    work_id = work_id_of(handoff_id) if handoff_id else works[-1]
    if work_id not in works:
        raise unknown_handoff(f"the step {step_id} has no handoff {handoff_id}")
    return work_id


def unknown_handoff(message: str) -> Refused:
    """404: the run has no such handoff."""
    return Refused(404, "unknown_handoff", message, action="GET the run's trace: it lists the handoffs")


async def turn_page(
    parts: Parts, tenant: str, step_id: str, works: Sequence[str], work_id: str, skip: int, limit: int
) -> TurnPage:
    """Return the newest turns of a work; `skip`: without that many of them."""
    counts = await count_turns(parts.redis, tenant, work_id)
    end = max(0, sum(counts) - skip)
    shown = turn_places(counts, max(0, end - limit), end)
    entries = await read_entries(parts.redis, tenant, work_id, [each.name for each in shown])
    turns = [_summary(work_id, each, entries[each.name]) for each in shown if each.name in entries]
    older = skip + limit if end > limit else None
    return TurnPage(step_id=step_id, work_id=work_id, works=list(works), turns=turns, older=older)


def _summary(work_id: str, place: TurnPlace, entry: Mapping[str, Any]) -> TurnSummary:
    reply = entry["reply"]
    return TurnSummary(
        thought=place.thought,
        turn=place.turn,
        handoff_id=f"{work_id}.{entry['try']}",
        model=reply["model"],
        seconds=reply.get("seconds") or 0.0,
        usage=Usage.model_validate(reply["usage"]),
        finish_reason=reply.get("finish_reason") or "",
        calls=[each["name"] for each in reply.get("tool_requests") or []],
    )


async def journals_of_page(parts: Parts, snapshot: RunSnapshot, progress: RunProgress) -> dict[str, Journal]:
    """Return by work id those turns of the journals that the events of a page are about.

    An attempt that no event of the page names gets its name from the journal, if its step has only one.
    """
    attempts = [(work.id, each) for work in progress.works.values() for each in work.attempts]
    every = await read_works(parts.redis, snapshot.tenant, snapshot.id) if attempts else []
    journals: dict[str, Journal] = {}
    for step_id, attempt in attempts:
        numbers = {each.turn for each in attempt.activities if each.turn is not None}
        of_step = [each for each in every if part_of(each) == _PARTS.get(step_id, step_id)]
        work_id = _work_id(attempt, of_step)
        if work_id in of_step:
            found = await _turns(parts, snapshot.tenant, work_id, numbers)
            journals[work_id] = {**journals.get(work_id, {}), **found}
            if attempt.handoff_id == UNNAMED and found:
                attempt.handoff_id = f"{work_id}.{_most_common_try(found)}"
    return journals


def _work_id(attempt: WorkAttempt, of_step: Sequence[str]) -> str:
    if attempt.handoff_id == UNNAMED:
        return of_step[0] if len(of_step) == 1 else ""
    return work_id_of(attempt.handoff_id)


def _most_common_try(turns: Journal) -> int:
    return int(Counter(each["try"] for each in turns.values()).most_common(1)[0][0])


async def _turns(parts: Parts, tenant: str, work_id: str, numbers: set[int]) -> Journal:
    """Return the turns of these numbers, of every conversation; without any, the newest."""
    counts = await count_turns(parts.redis, tenant, work_id)
    if numbers:
        thoughts = range(1, len(counts) + 1)
        chosen = [TurnPlace(thought, each) for thought in thoughts for each in numbers if each <= counts[thought - 1]]
    else:
        chosen = turn_places(counts, max(0, sum(counts) - JOURNAL_ONLY), sum(counts))
    return await read_entries(parts.redis, tenant, work_id, [each.name for each in chosen])
