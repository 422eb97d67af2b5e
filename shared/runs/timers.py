"""Timers of a run. They follow from its state: a new timer is set, an obsolete one is cleared.

A cleared timer that fires nevertheless changes nothing: a crash may leave one behind.
"""

from collections.abc import Iterator

from schemas.event import ENDS, State
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from shared.runs.advance import HUMAN_TIMEOUT
from shared.runs.builder import Outgoing
from shared.runs.ending import REPORT_WITHIN, result_id
from shared.runs.run import Run
from shared.runs.tokens import DEADLINE, RESULT, WAIT, token_for


def timers(run: Run) -> list[Outgoing]:
    """Return the timers of a run. A settling run keeps its deadline, which also releases the result."""
    if run.settling:
        return [_result(run), _deadline(run)]
    return [] if run.state in ENDS else [_deadline(run), *_latest(run), *_wait(run)]


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


def _wait(run: Run) -> Iterator[Outgoing]:
    """Yield the timer that limits the wait for a person's decision."""
    if (asked := run.request) is not None:
        about = {"request_id": asked.request_id, "token": token_for(run, WAIT)}
        expired = WaitExpired(run_id=run.id, tenant=run.tenant, **about)
        yield Outgoing(f"{asked.request_id}/expired", expired, asked.expires or asked.at + HUMAN_TIMEOUT)


def _result(run: Run) -> Outgoing:
    """Return the timer that limits how long the result of a settling run waits for agents to report."""
    assert run.finished is not None, "only an ended run settles"
    due = ResultDue(run_id=run.id, tenant=run.tenant, end=run.resumes, token=token_for(run, RESULT))
    return Outgoing(f"{result_id(run)}/due", due, run.finished + REPORT_WITHIN)
