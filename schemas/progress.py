"""Progress of a run, folded from its events: who works on what, since when, how often and at what cost.

The gateway's trace and the live display of the command line show it. Unlike `evolve` it takes an incomplete history: an
event of work whose start is missing changes nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.budget import Usage
from schemas.event import ENDS
from schemas.plan import PLANNER, REVIEWER, WRITER
from schemas.question_events import QUESTION_EVENTS, described
from schemas.work import Activity, WorkAttempt, WorkProgress, WorkStatus

PERSON = "person"
"""Agent of the work that a person does: answering a question."""


@dataclass(slots=True)
class RunProgress:
    """A run as its events up to now show it."""

    state: e.State = e.State.INTAKE
    started: datetime | None = None
    last: datetime | None = None
    usage: Usage = field(default_factory=Usage)
    works: dict[str, WorkProgress] = field(default_factory=dict)
    """By id: the planner, the steps in the plan's order, the writer, the reviewer."""
    handoffs: dict[str, WorkProgress] = field(default_factory=dict)
    """The work of each handoff."""
    unassigned: Usage = field(default_factory=Usage)
    """Usage of the last `Spent`, which precedes the event with the outcome it belongs to."""

    def apply(self, event: e.RunEvent) -> None:
        """Fold one event."""
        self.last = event.at
        if fold := _FOLDS.get(type(event)):
            fold(self, event)

    @property
    def in_order_of_start(self) -> list[WorkProgress]:
        """Works with an attempt, in the order in which they were started."""
        return sorted((each for each in self.works.values() if each.attempts), key=lambda work: work.attempts[0].at)

    @property
    def questions(self) -> list[WorkProgress]:
        """Questions that wait for a person."""
        return [each for each in self.works.values() if each.agent == PERSON and each.current]

    def attempt(self, handoff_id: str) -> WorkAttempt | None:
        """Return the attempt of a handoff."""
        work = self.handoffs.get(handoff_id)
        return next((each for each in work.attempts if each.handoff_id == handoff_id), None) if work else None


def fold_progress(events: Iterable[e.RunEvent]) -> RunProgress:
    """Return the progress after these events."""
    progress = RunProgress()
    for event in events:
        progress.apply(event)
    return progress


def ends_stream(event: e.RunEvent) -> bool:
    """Return true for the event that comes with the result of the run; only a resumption follows it."""
    if isinstance(event, e.Moved):
        return event.target in ENDS and not event.settling
    return isinstance(event, e.ResultReleased)


def _start(progress: RunProgress, id: str, agent: str, objective: str, handoff_id: str, at: datetime) -> None:
    """Start an attempt at the work."""
    work = progress.works.setdefault(id, WorkProgress(id, agent, objective))
    work.attempts.append(WorkAttempt(handoff_id, at))
    work.status, work.note = WorkStatus.RUNNING, ""
    progress.handoffs[handoff_id] = work


def _end(progress: RunProgress, id: str, at: datetime, to: WorkStatus, status: str, note: str = "") -> None:
    """End the open attempt of a work."""
    if (work := progress.works.get(id)) and (attempt := work.current):
        attempt.close(at, status, note)
        _assign_usage(progress, attempt)
        work.status, work.note = to, note or status


def _assign_usage(progress: RunProgress, attempt: WorkAttempt) -> None:
    attempt.usage, progress.unassigned = attempt.usage + progress.unassigned, Usage()


def _started(progress: RunProgress, event: e.RunStarted) -> None:
    progress.started = event.at


def _moved(progress: RunProgress, event: e.Moved) -> None:
    progress.state = event.target
    if event.target in ENDS:
        for id in progress.works:
            _end(progress, id, event.at, WorkStatus.FAILED, "given up")


def _spent(progress: RunProgress, event: e.Spent) -> None:
    progress.usage, progress.unassigned = progress.usage + event.usage, event.usage


def _ignored(progress: RunProgress, event: e.AnswerIgnored) -> None:
    if attempt := progress.attempt(event.handoff_id):
        _assign_usage(progress, attempt)


def _planned(progress: RunProgress, event: e.PlanAccepted) -> None:
    """Add the steps of the plan, in its order; writer and reviewer stay last."""
    _end(progress, PLANNER, event.at, WorkStatus.DONE, "done")
    steps = {step.id: progress.works.get(step.id, WorkProgress(step.id, "", "")) for step in event.plan.steps}
    for step in event.plan.steps:
        work = steps[step.id]
        work.agent, work.objective, work.status, work.note = step.agent, step.objective, WorkStatus.WAITING, ""
    kept = {id: work for id, work in progress.works.items() if work.attempts and id not in steps}
    last = {id: kept.pop(id) for id in (WRITER, REVIEWER) if id in kept}
    progress.works = kept | steps | last


def _handed_over(progress: RunProgress, event: step_events.StepHandedOff) -> None:
    """End the step, and add the next one; the reviewer stays last."""
    note = f"→ {event.to}: {event.brief.request}"
    if event.error is not None:
        _end(progress, event.step_id, event.at, WorkStatus.FAILED, "failed", f"{note} ({event.error.message})")
    else:
        _end(progress, event.step_id, event.at, WorkStatus.DONE, "handed over", note)
    if event.next is not None and event.next.id not in progress.works:
        after = WorkProgress(event.next.id, event.next.agent, event.next.objective, note=event.must_answer)
        reviewer = {REVIEWER: progress.works.pop(REVIEWER)} if REVIEWER in progress.works else {}
        progress.works |= {after.id: after} | reviewer


def _progressed(progress: RunProgress, event: e.Progressed) -> None:
    if (work := progress.works.get(event.step_id)) and work.current:
        work.current.add(Activity(event.doing, event.at, event.turn))


def _failed(progress: RunProgress, event: step_events.AttemptFailed) -> None:
    work, attempt = progress.handoffs.get(event.handoff_id), progress.attempt(event.handoff_id)
    if work is None or attempt is None:
        return
    attempt.close(event.at, "failed", event.error.message, event.error)
    _assign_usage(progress, attempt)
    if attempt is work.attempts[-1]:
        work.status, work.note = WorkStatus.FAILED if event.final else WorkStatus.WAITING, event.error.message


def _reopened(progress: RunProgress, event: step_events.StepsReopened) -> None:
    for work in (progress.works[id] for id in (*event.step_ids, WRITER) if id in progress.works):
        work.status, work.note = WorkStatus.WAITING, "must be redone"


def _omitted(progress: RunProgress, event: e.SynthesisOmitted) -> None:
    """Note that the answers were joined; the failed attempts of the writer, if it was asked, say why."""
    if work := progress.works.get(WRITER):
        work.status, work.note = WorkStatus.FAILED, event.reason


def _reviewed(progress: RunProgress, event: e.ReviewGiven) -> None:
    verdict = "accepted" if event.accepted else "wants changes"
    _end(progress, REVIEWER, event.at, WorkStatus.DONE, verdict, "; ".join(event.reasons))


def _outdated(progress: RunProgress, event: e.AnswerOutdated) -> None:
    """End the attempt whose answer is not used."""
    work = progress.handoffs.get(event.handoff_id)
    if work is not None and event.repeated:
        _end(progress, work.id, event.at, WorkStatus.WAITING, "outdated", "a message came while it worked")


def _answered(progress: RunProgress, event: q.HelpAnswered) -> None:
    _end(progress, event.request_id, event.at, WorkStatus.DONE, event.reply or event.decision, event.answer)
    if attempt := progress.attempt(event.request_id):
        attempt.by = event.by


def _changed(progress: RunProgress, event: Any) -> None:
    """Add what happened to an open question to the work of the person."""
    if (attempt := progress.attempt(event.request_id)) and attempt.open:
        attempt.add(Activity(f"{event.by} {described(event)}", event.at))


def _dropped(progress: RunProgress, event: e.PlanDropped) -> None:
    """Close the questions about a plan that is dropped."""
    for question in progress.questions:
        _end(progress, question.id, event.at, WorkStatus.DONE, "obsolete")


_WAITING, _DONE, _ASKING = WorkStatus.WAITING, WorkStatus.DONE, WorkStatus.ASKING

_FOLDS: dict[type[e.RunEvent], Callable[[RunProgress, Any], None]] = {
    e.RunStarted: _started,
    e.Moved: _moved,
    e.Spent: _spent,
    e.AnswerIgnored: _ignored,
    e.PlanRequested: lambda p, ev: _start(p, PLANNER, PLANNER, "make a plan", ev.handoff_id, ev.at),
    e.PlanAccepted: _planned,
    e.PlanRefused: lambda p, ev: _end(p, PLANNER, ev.at, _WAITING, "refused", "; ".join(ev.problems)),
    step_events.StepDispatched: lambda p, ev: _start(p, ev.step_id, ev.agent, ev.objective, ev.handoff_id, ev.at),
    e.Progressed: _progressed,
    step_events.StepDone: lambda p, ev: _end(p, ev.step_id, ev.at, _DONE, "done"),
    step_events.StepHandedOff: _handed_over,
    step_events.StepAsked: lambda p, ev: _end(p, ev.step_id, ev.at, _ASKING, "asks", ev.question),
    step_events.AttemptFailed: _failed,
    step_events.StepsReopened: _reopened,
    e.SynthesisRequested: lambda p, ev: _start(p, WRITER, WRITER, "write one answer", ev.handoff_id, ev.at),
    e.SynthesisWritten: lambda p, ev: _end(p, WRITER, ev.at, _DONE, "written"),
    e.SynthesisOmitted: _omitted,
    e.ReviewRequested: lambda p, ev: _start(p, REVIEWER, REVIEWER, "review the result", ev.handoff_id, ev.at),
    e.ReviewGiven: _reviewed,
    e.AnswerOutdated: _outdated,
    q.HelpRequested: lambda p, ev: _start(p, ev.request_id, PERSON, ev.question, ev.request_id, ev.at),
    q.HelpAnswered: _answered,
    e.PlanDropped: _dropped,
    **dict.fromkeys(QUESTION_EVENTS, _changed),
}
"""Events that are not listed change nothing."""
