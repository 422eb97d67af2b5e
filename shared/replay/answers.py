"""Answers of agents as the run log states them, for runs whose messages are no longer retained."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from schemas import event as e
from schemas import step_events as s
from schemas.brief import Brief
from schemas.error import ErrorInfo
from schemas.event import RunEvent
from schemas.plan import Plan, PlannedStep
from schemas.step import (
    Answer,
    HandedOff,
    HandoffFailed,
    HelpAsked,
    PlanProposed,
    ResultReviewed,
    StepCompleted,
    answer_id,
)
from schemas.synthesis import AnswerWritten
from shared.runs import Run
from shared.runs.tokens import token_for

Plans = Callable[[str], Iterable[Plan]]
"""Returns the plans that the journal has as the reply to a handoff: the log has none of a refused one."""

_UNUSED_PLAN = Plan(steps=[PlannedStep(id="unused", objective="unused", agent="unused")])
"""In place of a plan that is not used, and that the log does not have."""

_UNUSED_ERROR = ErrorInfo.model_validate({"code": "unused", "message": "unused"})

_ALTERED = {"to": "unused", "brief": Brief(request="unused"), "brief_digest": "-"}
"""In place of a handoff whose brief was altered: the log has its refusal only."""


def answers_in(run: Run, events: Sequence[RunEvent], plans: Plans = lambda _: ()) -> Iterator[Answer]:
    """Yield the answers that may have caused these events, as far as the events state them."""
    first = events[0]
    if isinstance(first, e.AnswerIgnored) and first.reason:
        yield HandoffFailed(**_address(run, first.by, first.handoff_id) | {"token": "-", "error": _UNUSED_ERROR})
    if not isinstance(first, e.Spent) or (handoff_id := _handoff_in(run, events)) is None:
        return
    judged = next((each for each in events if isinstance(each, e.ActionsJudged)), None)
    about = _address(run, first.by, handoff_id) | {"usage": first.usage, "models": first.models}
    about |= {name: getattr(judged, name) for name in ("judged", "acted", "effected")} if judged else {}
    outdated = next((each for each in events if isinstance(each, e.AnswerOutdated)), None)
    about |= {"messages_read": len(run.messages) - outdated.unread} if outdated else {}
    for kind, fields in _contents(run, events, first.by, handoff_id, plans):
        yield kind.model_validate(about | fields)


def _address(run: Run, agent: str, handoff_id: str) -> dict[str, Any]:
    about = {"id": answer_id(handoff_id), "run_id": run.id, "tenant": run.tenant}
    return {**about, "agent": agent, "handoff_id": handoff_id, "token": token_for(run, handoff_id, agent)}


def _handoff_in(run: Run, events: Iterable[RunEvent]) -> str | None:
    """Return the handoff that the answer is to."""
    for each in events:
        match each:
            case e.ActionsJudged() | e.AnswerIgnored() | e.AnswerOutdated() | s.AttemptFailed():
                return each.handoff_id
            case s.StepDone() | s.StepHandedOff() | s.StepAsked():
                return run.steps[each.step_id].handoff_id if each.step_id in run.steps else None
            case e.PlanAccepted() | e.PlanRefused():
                return run.planning.handoff_id
            case e.SynthesisWritten():
                return run.writing.handoff_id
            case e.ReviewGiven():
                return run.reviewing.handoff_id
    return None


def _contents(
    run: Run, events: Iterable[RunEvent], agent: str, handoff_id: str, plans: Plans
) -> Iterator[tuple[type[Answer], dict[str, Any]]]:
    """Yield the kinds of answer that fit the events, with what these state of their contents."""
    for each in events:
        if (stated := _STATED.get(type(each))) is not None and each.by == agent:
            kind, names = stated
            yield kind, {name: getattr(each, name) for name in names}
            if isinstance(each, s.AttemptFailed):
                yield from ((HelpAsked, {"question": each.error.message}), (HandedOff, _ALTERED))
            return
        if isinstance(each, e.PlanRefused):
            yield from ((PlanProposed, {"plan": plan}) for plan in plans(handoff_id))
            return
    yield HandoffFailed, {"error": _UNUSED_ERROR}
    yield ResultReviewed, {"accepted": True}
    yield PlanProposed, {"plan": _UNUSED_PLAN}


_STATED: dict[type[RunEvent], tuple[type[Answer], tuple[str, ...]]] = {
    s.StepDone: (StepCompleted, ("output", "seconds", "usage", "versions")),
    s.StepHandedOff: (
        HandedOff,
        ("to", "brief", "brief_digest", "tainted", "effects", "caveats", "seconds", "usage", "versions"),
    ),
    s.StepAsked: (HelpAsked, ("question", "options", "call", "proposal", "kind", "background")),
    s.AttemptFailed: (HandoffFailed, ("error",)),
    e.PlanAccepted: (PlanProposed, ("plan", "tainted")),
    e.SynthesisWritten: (AnswerWritten, ("synthesis",)),
    e.ReviewGiven: (ResultReviewed, ("accepted", "reasons", "redo")),
}
"""Events that state the contents of an answer, with the fields they share with it."""
