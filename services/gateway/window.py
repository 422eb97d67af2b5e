"""Progress of a run, folded from a page of its events: work that began before the page is continued, not lost."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.plan import PLANNER, REVIEWER, WRITER
from schemas.progress import PERSON, RunProgress, fold_progress
from schemas.work import WorkAttempt, WorkProgress, WorkStatus
from shared.runs import Run
from shared.runs.dispatch import PLAN, REVIEW, WRITE
from shared.runs.run import requests_of

UNNAMED = ""
"""Handoff id of an attempt that began before the page, if no event of the page names it."""

_PARTS = {PLAN: PLANNER, WRITE: WRITER, REVIEW: REVIEWER}


class _Subject(NamedTuple):
    """The work that an event continues, and the attempt, if the event names it."""

    work_id: str
    agent: str
    handoff_id: str = UNNAMED


def fold_page(run: Run | None, events: Sequence[e.RunEvent], *, newest: bool) -> RunProgress:
    """Return the progress of these events. `newest`: no later ones exist, so that open work is the run's present."""
    if not events or isinstance(events[0], e.RunStarted):
        return fold_progress(events)
    progress = RunProgress()
    for event in events:
        subject = _subject(event)
        if subject and not (subject.work_id in progress.works and progress.works[subject.work_id].attempts):
            _continue(progress, run, subject, events[0])
        progress.apply(event)
    if newest and run is not None:
        _name_present(progress, run)
    return progress


def _subject(event: e.RunEvent) -> _Subject | None:
    match event:
        case e.Progressed():
            return _Subject(event.step_id, event.agent)
        case step_events.StepDone() | step_events.StepHandedOff() | step_events.StepAsked():
            return _Subject(event.step_id, "")
        case step_events.AttemptFailed() | e.AnswerIgnored() | e.AnswerOutdated():
            part = part_of(event.handoff_id)
            return _Subject(_PARTS.get(part, part), "", event.handoff_id)
        case e.PlanRefused():
            return _Subject(PLANNER, PLANNER)
        case e.SynthesisWritten():
            return _Subject(WRITER, WRITER)
        case e.ReviewGiven():
            return _Subject(REVIEWER, REVIEWER)
        case q.HelpAnswered():
            return _Subject(event.request_id, PERSON, event.request_id)
    return None


def _continue(progress: RunProgress, run: Run | None, subject: _Subject, first: e.RunEvent) -> None:
    """Add the attempt that began before the page."""
    record = run.steps.get(subject.work_id) if run else None
    agent, objective = (record.step.agent, record.step.objective) if record else (subject.agent, "")
    work = progress.works.setdefault(subject.work_id, WorkProgress(subject.work_id, agent, objective))
    work.attempts.append(WorkAttempt(subject.handoff_id, first.at, continued=True))
    work.status = WorkStatus.RUNNING
    progress.handoffs[subject.handoff_id] = work


def _name_present(progress: RunProgress, run: Run) -> None:
    """Name the open attempts that began before the page: the run awaits their handoffs."""
    awaited = {id: record.handoff_id for id, record in run.steps.items()}
    awaited |= {agent: request.handoff_id for agent, request in requests_of(run).items()}
    for id, work in progress.works.items():
        if work.current is not None and work.current.handoff_id == UNNAMED:
            work.current.handoff_id = awaited.get(id) or UNNAMED


def part_of(id: str) -> str:
    """Return the step in a handoff's or a work's id; `@plan`, `@write` and `@review` for the requests."""
    return id.rpartition("/")[0].rpartition("/")[2]
