"""The trace of a run: its progress, with the turns that its journals record."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

from schemas.api.trace import Action, Attempt, RunTrace, Work
from schemas.budget import Usage
from schemas.progress import RunProgress
from schemas.versions import Versions
from schemas.work import WorkAttempt, WorkProgress
from services.gateway.dependencies import RunSnapshot
from services.gateway.views import view_of

Journal: TypeAlias = Mapping[str, Any]
"""Entries by name, such as `think-1/turn-2`."""


def trace_of(
    snapshot: RunSnapshot, progress: RunProgress, journals: Mapping[str, Journal], *, partial: bool = False
) -> RunTrace:
    """Return the trace of a run; empty before the run starts. `journals`: by work id; `partial`: of a page."""
    run = view_of(snapshot)
    works = [_work(each, journals, partial=partial) for each in progress.in_order_of_start]
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


def _work(work: WorkProgress, journals: Mapping[str, Journal], *, partial: bool) -> Work:
    return Work(
        id=work.id,
        agent=work.agent,
        objective=work.objective,
        attempts=[
            _attempt(each, journals.get(work_id_of(each.handoff_id), {}), partial=partial) for each in work.attempts
        ],
        usage=work.usage,
        seconds=work.seconds,
        retries=work.retries,
    )


def _attempt(attempt: WorkAttempt, journal: Journal, *, partial: bool) -> Attempt:
    return Attempt(
        handoff_id=attempt.handoff_id,
        at=attempt.at,
        seconds=None if attempt.continued else attempt.seconds,
        status=attempt.status,
        note=attempt.note,
        by=attempt.by,
        error=attempt.error,
        usage=attempt.usage,
        actions=list(_actions(attempt, journal, partial=partial)),
        continued=attempt.continued,
    )


def _actions(attempt: WorkAttempt, journal: Journal, *, partial: bool) -> Iterator[Action]:
    """Yield the activities, turns with their journal entry; then the turns that only the journal has.

    `partial`: the activities are those of a page, and turns of other pages are left out. Of an attempt that began
    before the page, the page has the later of two turns of one number.
    """
    turns = _turns(attempt, journal)
    unmatched: dict[int | None, deque[_Turn]] = defaultdict(deque)
    for each in turns:
        unmatched[each.turn].append(each)
    if attempt.continued:
        _keep_latest(attempt, unmatched)
    for activity in attempt.activities:
        found = unmatched[activity.turn].popleft() if unmatched[activity.turn] else None
        yield _action(activity.what, activity.turn, found, at=activity.at, seconds=activity.seconds)
    if not (partial and any(each.turn for each in attempt.activities)):
        for each in sorted(chain(*unmatched.values())):
            yield _action(f"thinking (turn {each.turn})", each.turn, each, at=None)


def _keep_latest(attempt: WorkAttempt, unmatched: Mapping[int | None, deque["_Turn"]]) -> None:
    wanted = Counter(each.turn for each in attempt.activities)
    for number, found in unmatched.items():
        while len(found) > wanted[number]:
            found.popleft()


def _action(what: str, turn: int | None, found: "_Turn | None", **times: Any) -> Action:
    if found is None:
        return Action(what=what, turn=turn, **times)
    entry = found.entry
    return Action(
        what=what,
        thought=found.thought,
        turn=turn,
        model=entry["reply"]["model"],
        usage=Usage.model_validate(entry["reply"]["usage"]),
        versions=Versions.model_validate(entry["versions"]) if "versions" in entry else None,
        **times,
    )


@dataclass(frozen=True, order=True)
class _Turn:
    """A turn in a journal; sorts by its place."""

    thought: int
    turn: int
    entry: Journal = field(compare=False)


def _turns(attempt: WorkAttempt, journal: Journal) -> list[_Turn]:
    """Return the turns taken in this attempt, in order; a later attempt continues after the turns of an earlier one."""
    number = attempt.handoff_id.rpartition(".")[2]
    own = {name: entry for name, entry in journal.items() if _is_turn(name) and str(entry.get("try")) == number}
    return sorted(_Turn(*_position(name), entry) for name, entry in own.items())


def _is_turn(name: str) -> bool:
    thought, _, turn = name.partition("/")
    return thought.startswith("think-") and turn.startswith("turn-") and "/" not in turn


def _position(name: str) -> tuple[int, int]:
    """Return 1 and 2 for `think-1/turn-2`."""
    thought, _, turn = name.partition("/")
    return int(thought.removeprefix("think-")), int(turn.removeprefix("turn-"))
