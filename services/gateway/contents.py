"""Runs without their contents, for callers who may see states alone.

| part | shown to |
|---|---|
| state, its reason unless that asks, objective, plan, progress, times, cost, errors | everyone who may see runs |
| open questions with their calls, messages and feedback of people | the roles `contents` and `decide` |
| results of automatic checks; the faults that they found | everyone who may see runs; the role `contents` |
| answers of steps, the planner's rationale, notes of attempts, events that carry any of these | the role `contents` |

A field or an event that this module does not name is withheld.
"""

from collections.abc import Iterable
from dataclasses import replace

from schemas import event as e
from schemas import step_events
from schemas.api.runs import RunSummary, RunView
from schemas.api.trace import Attempt, RunTrace, Work
from schemas.board import BoardEntry, Claim
from schemas.progress import PERSON
from schemas.task import StepSummary
from services.gateway.access import Caller
from shared.access.principals import Role
from shared.blackboard import LiveEvent

_STATE = frozenset(
    {
        *("run_id", "task_id", "tenant", "version", "objective"),
        *("state", "settling", "started", "deadline", "finished", "error"),
        *("usage", "budget", "models", "parked", "absent", "session"),
    }
)
_QUESTIONS = frozenset({"waiting_for", "questions", "messages", "ratings"})
_STEP = frozenset(
    {
        *("id", "agent", "objective", "status", "attempts", "error", "seconds", "usage", "versions"),
        *("handed_to", "must_answer"),
    }
)

_EVENTS = frozenset(
    kind.wire_type()
    for kind in (
        e.Moved,
        e.ResultReleased,
        e.MoveRefused,
        e.Spent,
        e.BudgetReached,
        e.DeadlineMoved,
        e.PlanRequested,
        step_events.StepDispatched,
        e.SynthesisRequested,
        e.ReviewRequested,
        e.AnswerOutdated,
        e.RunResumed,
        e.ClaimReleased,
        e.Progressed,
    )
)
"""Events about states alone."""

_WAITS = "a person must decide"
"""Reason of a run that waits for a person: the recorded one is the question."""


def shown_run(run: RunView, caller: Caller) -> RunView:
    """Return the run as the caller may see it."""
    if caller.may(Role.CONTENTS):
        return run
    kept = _STATE | (_QUESTIONS if caller.may(Role.DECIDE) else frozenset())
    plan = run.plan.model_copy(update={"rationale": ""}) if run.plan else None
    steps = [StepSummary.model_validate(_fields(step, _STEP)) for step in run.steps]
    checks = run.evaluation and _without_faults(run.evaluation)
    shown = {"evaluation": checks, "waiting_for": None, "reason": _reason(run, caller), "plan": plan, "steps": steps}
    return RunView.model_validate(shown | _fields(run, kept))


def shown_summaries(runs: Iterable[RunSummary], caller: Caller) -> list[RunSummary]:
    """Return the runs of a list as the caller may see them."""
    return [run.model_copy(update={"reason": _reason(run, caller)}) for run in runs]


def shown_trace(trace: RunTrace, caller: Caller) -> RunTrace:
    """Return the trace as the caller may see it."""
    if caller.may(Role.CONTENTS):
        return trace
    works = [_work(each, caller) for each in trace.works]
    return trace.model_copy(update={"works": works, "reason": _reason(trace, caller)})


def shown_entries(entries: Iterable[BoardEntry], caller: Caller) -> list[BoardEntry]:
    """Return the entries of a board as the caller may see them."""
    if caller.may(Role.CONTENTS):
        return list(entries)
    return [each.model_copy(update={"content": None, "reason": "", "taint": []}) for each in entries]


def shown_claims(claims: Iterable[Claim], caller: Caller) -> list[Claim]:
    """Return the claims as the caller may see them."""
    if caller.may(Role.CONTENTS):
        return list(claims)
    return [each.model_copy(update={"reason": ""}) for each in claims]


def shown_event(event: LiveEvent, caller: Caller) -> LiveEvent | None:
    """Return the event as the caller may see it; None if it is withheld."""
    if caller.may(Role.CONTENTS):
        return event
    if event.type not in _EVENTS:
        return None
    waits = event.type == e.Moved.wire_type() and event.data["target"] == e.State.WAITING_HUMAN
    return replace(event, data={**event.data, "reason": _WAITS}) if waits else event


def _without_faults(found: e.Evaluation) -> e.Evaluation:
    return found.model_copy(update={"checks": [each.model_copy(update={"why": ""}) for each in found.checks]})


def _reason(run: RunView | RunSummary | RunTrace, caller: Caller) -> str:
    asks = run.state is e.State.WAITING_HUMAN
    return _WAITS if asks and not (caller.may(Role.CONTENTS) or caller.may(Role.DECIDE)) else run.reason


def _work(work: Work, caller: Caller) -> Work:
    if work.agent == PERSON and caller.may(Role.DECIDE):
        return work
    attempts = [Attempt.model_validate({**dict(each), "note": ""}) for each in work.attempts]
    return work.model_copy(update={"attempts": attempts} | ({"objective": ""} if work.agent == PERSON else {}))


def _fields(model: RunView | StepSummary, names: frozenset[str]) -> dict[str, object]:
    return {name: value for name, value in model if name in names}
