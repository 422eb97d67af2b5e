"""The trace of a run: its progress, with the turns that its journals record."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, TypeAlias

from schemas.api.trace import Action, Attempt, RunTrace, Work
from schemas.budget import Usage
from schemas.progress import RunProgress, WorkAttempt, WorkProgress
from schemas.versions import Versions
from services.gateway.dependencies import RunSnapshot
from services.gateway.views import view_of

Journal: TypeAlias = Mapping[str, Any]
"""Entries by name, such as `think-1/turn-2`."""


def trace_of(snapshot: RunSnapshot, progress: RunProgress, journals: Mapping[str, Journal]) -> RunTrace:
    """Return the trace of a run; empty before the run starts. `journals`: by work id."""
    run = view_of(snapshot)
    works = [_work(each, journals) for each in progress.in_order_of_start]
    return RunTrace(
        run_id=snapshot.id,
        trace_id=_trace_id(snapshot.run.traceparent) if snapshot.run else None,
        state=run.state,
        reason=run.reason,
        started=run.started,
        seconds=(progress.last - run.started).total_seconds() if progress.last else 0.0,
        usage=run.usage,
        works=works,
        retries=sum(work.retries for work in works),
    )


def work_id_of(handoff_id: str) -> str:
    """Return the work a handoff is an attempt at: all its attempts share one journal."""
    return handoff_id.rpartition(".")[0]


def _trace_id(traceparent: str | None) -> str | None:
    """Return the trace id of `00-<trace id>-<span id>-<flags>`."""
    return traceparent.split("-")[1] if traceparent else None


def _work(work: WorkProgress, journals: Mapping[str, Journal]) -> Work:
    return Work(
        id=work.id,
        agent=work.agent,
        objective=work.objective,
        attempts=[_attempt(each, journals.get(work_id_of(each.handoff_id), {})) for each in work.attempts],
        usage=work.usage,
        seconds=work.seconds,
        retries=work.retries,
    )


def _attempt(attempt: WorkAttempt, journal: Journal) -> Attempt:
    return Attempt(
        handoff_id=attempt.handoff_id,
        at=attempt.at,
        seconds=attempt.seconds,
        status=attempt.status,
        note=attempt.note,
        by=attempt.by,
        error=attempt.error,
        usage=attempt.usage,
        actions=list(_actions(attempt, journal)),
    )


def _actions(attempt: WorkAttempt, journal: Journal) -> Iterator[Action]:
    """Yield the activities, turns with their journal entry; then the turns that only the journal has."""
    turns = _turns(attempt, journal)
    unmatched: dict[int | None, deque[int]] = defaultdict(deque)
    for index, (turn, _) in enumerate(turns):
        unmatched[turn].append(index)
    for each in attempt.activities:
        entry = turns[unmatched[each.turn].popleft()][1] if unmatched[each.turn] else None
        yield _action(each.what, each.turn, entry, at=each.at, seconds=each.seconds)
    for turn, entry in (turns[index] for index in sorted(chain(*unmatched.values()))):
        yield _action(f"thinking (turn {turn})", turn, entry, at=None)


def _action(what: str, turn: int | None, entry: Journal | None, **times: Any) -> Action:
    if entry is None:
        return Action(what=what, turn=turn, **times)
    return Action(
        what=what,
        turn=turn,
        model=entry["reply"]["model"],
        usage=Usage.model_validate(entry["reply"]["usage"]),
        versions=Versions.model_validate(entry["versions"]) if "versions" in entry else None,
        **times,
    )


def _turns(attempt: WorkAttempt, journal: Journal) -> list[tuple[int, Journal]]:
    """Return the turns taken in this attempt, in order; a later attempt continues after the turns of an earlier one."""
    number = attempt.handoff_id.rpartition(".")[2]
    own = {name: entry for name, entry in journal.items() if _is_turn(name) and str(entry.get("try")) == number}
    return [(_position(name)[1], own[name]) for name in sorted(own, key=_position)]


def _is_turn(name: str) -> bool:
    thought, _, turn = name.partition("/")
    return thought.startswith("think-") and turn.startswith("turn-") and "/" not in turn


def _position(name: str) -> list[int]:
    """Return 1 and 2 for `think-1/turn-2`."""
    return [int(part.rpartition("-")[2]) for part in name.split("/")]
