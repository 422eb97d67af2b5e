"""Timers of a run. They follow from its state: a new timer is set, an obsolete one is cleared.

A cleared timer that fires nevertheless changes nothing: a crash may leave one behind.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.event import ENDS, State
from schemas.timer import DeadlinePassed, QuestionDue, ResultDue, WaitExpired
from shared.runs.builder import Outgoing
from shared.runs.ending import REPORT_WITHIN, result_id
from shared.runs.open_question import OpenQuestion
from shared.runs.run import Run
from shared.runs.tokens import DEADLINE, RESULT, WAIT, token_for

HUMAN_TIMEOUT = timedelta(days=1)
"""Longest wait for an answer to a question that an earlier version asked."""


def timers(run: Run) -> list[Outgoing]:
    """Return the timers of a run. A settling run keeps its deadline, which also releases the result."""
    if run.settling:
        return [_result(run), _deadline(run)]
    return [] if run.state in ENDS else [_deadline(run), *_latest(run), *_waits(run)]


def timer_changes(before: Run | None, after: Run) -> tuple[list[Outgoing], list[str]]:
    """Return the timers to set, and the ids of those to clear."""
    had = [each.id for each in timers(before)] if before else []
    has = timers(after)
    ids = {each.id for each in has}
    return [each for each in has if each.id not in had], [id for id in had if id not in ids]


def _deadline(run: Run) -> Outgoing:
    """Return the timer of the run's deadline. Its id contains the deadline: a moved deadline gets a new timer."""
    passed = DeadlinePassed(run_id=run.id, tenant=run.tenant, deadline=run.deadline, token=token_for(run, DEADLINE))
    return Outgoing(f"{run.id}/deadline/{run.resumes}.{run.deadline.timestamp():.3f}", passed, run.deadline)


def _latest(run: Run) -> Iterator[Outgoing]:
    """Yield the timer of the task's own deadline for a paused run, whose own deadline has no effect."""
    paused, latest = run.paused_at, run.task.deadline
    if run.state is State.PAUSED and paused is not None and latest is not None and latest > run.deadline:
        passed = DeadlinePassed(run_id=run.id, tenant=run.tenant, token=token_for(run, DEADLINE))
        yield Outgoing(f"{run.id}/latest/{run.resumes}.{paused.timestamp():.3f}", passed, latest)


def _waits(run: Run) -> Iterator[Outgoing]:
    """Yield the timers of the open questions: each expires, unless it is decided, and has at most one thing due."""
    token = token_for(run, WAIT)
    for id, question in run.questions.items():
        about = {"run_id": run.id, "tenant": run.tenant, "request_id": id, "token": token}
        if question.effective is None:
            until = question.asked.expires or question.asked.at + HUMAN_TIMEOUT
            nth = f"/{question.answers}" if question.answers else ""
            yield Outgoing(f"{id}/expired{nth}", WaitExpired(**about), until)
        held = run.state is State.PAUSED and question.effective is not None
        if not held and (due := min(due_times(question).values(), default=None)):
            name = f"{id}/due/{question.answers}.{due.timestamp():.3f}{_since_pause(run)}"
            yield Outgoing(name, QuestionDue(**about), due)


def _since_pause(run: Run) -> str:
    """Return a part of a timer's id: one that was cleared for a pause must not be the one that is set after it."""
    return f".{run.paused_at.timestamp():.3f}" if run.paused_at else ""


def due_times(question: OpenQuestion) -> dict[str, datetime]:
    """Return the times at which something is due for a question, besides its expiry."""
    asked, terms = question.asked, question.asked.terms
    if question.effective is not None:
        return {"decision": question.effective}
    due: dict[str, datetime] = {}
    if terms.remind:
        due["reminder"] = asked.at + timedelta(seconds=terms.remind) * (question.reminded + 1)
    if terms.escalate_after and terms.escalate_to and not question.escalated:
        due["escalation"] = asked.at + timedelta(seconds=terms.escalate_after)
    return due


def _result(run: Run) -> Outgoing:
    """Return the timer that limits how long the result of a settling run waits for agents to report."""
    assert run.finished is not None, "only an ended run settles"
    due = ResultDue(run_id=run.id, tenant=run.tenant, end=run.resumes, token=token_for(run, RESULT))
    return Outgoing(f"{result_id(run)}/due", due, run.finished + REPORT_WITHIN)
