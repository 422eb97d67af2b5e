"""What follows from time passing."""

from datetime import datetime, timedelta

from schemas import timer
from schemas.event import State
from schemas.message import MOST_SECONDS
from shared.errors import RetryableError
from shared.runs.draft import Draft
from shared.runs.ending import fail
from shared.runs.machine import ENDS
from shared.runs.run import Run
from shared.runs.tokens import DEADLINE, WAIT, check_timer

CLOCKS_DIFFER = timedelta(seconds=1)
"""Difference of two clocks below which a timer counts as on time. One that comes earlier is set again."""


def deadline_passed(draft: Draft, message: timer.DeadlinePassed) -> None:
    """Fail the run whose deadline this is. A timer for a deadline that was moved changes nothing.

    Raises RetryableError `early` if it has not passed by our clock, TerminalError for one the orchestrator has not set.
    """
    run = draft.run
    check_timer(run, message.token, DEADLINE)
    if message.deadline in (None, run.deadline) and not (ended_late(draft) or _excused(run, draft.now)):
        _wait_for(run.deadline, draft.now)


def ended_late(draft: Draft) -> bool:
    """Whether the deadline has passed and nothing excuses it; the run has failed then."""
    run = draft.run
    if draft.now + CLOCKS_DIFFER < run.deadline or _excused(run, draft.now):
        return False
    if run.state is State.PAUSED and run.paused_from is not None:
        draft.move(run.paused_from, "the deadline passed")
    seconds = (run.deadline - run.started).total_seconds()
    fail(draft, "deadline", f"not finished within {seconds:.0f} s", "raise budget.seconds or the deadline")
    return True


def _excused(run: Run, now: datetime) -> bool:
    """Return true if the run has ended, or its clock stands still while its result is still of use."""
    of_use = run.task.deadline is None or now + CLOCKS_DIFFER < run.task.deadline
    stands = run.request is not None or run.state is State.PAUSED
    return run.state in ENDS or (stands and of_use)


def _wait_for(moment: datetime, now: datetime) -> None:
    """Raise RetryableError if the moment is still ahead.

    The clock that fired the timer is ahead of ours by what is missing: it is counted twice, so that the timer, which
    waits by that clock, comes when the moment has passed by ours.
    """
    ahead = (moment - now).total_seconds()
    if ahead > CLOCKS_DIFFER.total_seconds():
        message = f"the timer came {ahead:.1f} s early"
        raise RetryableError(message, after=min(2 * ahead, MOST_SECONDS), code="early", exact=True)


def wait_expired(draft: Draft, message: timer.WaitExpired) -> None:
    """Fail the run that got no answer in time.

    Raises RetryableError `early` if the time is not up by our clock, TerminalError for a timer that is not ours.
    """
    check_timer(draft.run, message.token, WAIT)
    request = draft.run.request
    if request is None or request.request_id != message.request_id or draft.run.state in ENDS:
        return
    if request.expires is not None:
        _wait_for(request.expires, draft.now)
    if draft.run.state is State.PAUSED:
        draft.move(State.WAITING_HUMAN, "the wait expired")
    fail(draft, "no_decision", f"nobody answered in time: {request.question}")
