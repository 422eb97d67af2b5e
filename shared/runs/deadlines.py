"""Rules for timers: deadlines of runs and of people's decisions."""

from datetime import datetime, timedelta

from schemas import timer
from schemas.event import ENDS, State
from schemas.message import MOST_SECONDS
from shared.errors import RetryableError
from shared.runs.builder import DecisionBuilder
from shared.runs.ending import fail
from shared.runs.run import Run
from shared.runs.tokens import DEADLINE, WAIT, check_timer

CLOCKS_DIFFER = timedelta(seconds=1)
"""Clock difference below which a timer counts as on time. A timer that fires earlier is set again."""


def deadline_passed(builder: DecisionBuilder, message: timer.DeadlinePassed) -> None:
    """Fail the run whose deadline this is. A timer for a deadline that was moved changes nothing.

    Raises RetryableError `early` if it has not passed by this clock, TerminalError for a timer the orchestrator did
    not set.
    """
    run = builder.run
    check_timer(run, message.token, DEADLINE)
    if message.deadline in (None, run.deadline) and not (fail_if_late(builder) or _is_excused(run, builder.now)):
        _wait_for(run.deadline, builder.now)


def fail_if_late(builder: DecisionBuilder) -> bool:
    """Fail the run if its deadline has passed and its clock is not stopped; return True if it failed."""
    run = builder.run
    if builder.now + CLOCKS_DIFFER < run.deadline or _is_excused(run, builder.now):
        return False
    if run.state is State.PAUSED and run.paused_from is not None:
        builder.move(run.paused_from, "the deadline passed")
    seconds = (run.deadline - run.started).total_seconds()
    fail(builder, "deadline", f"not finished within {seconds:.0f} s", "raise budget.seconds or the deadline")
    return True


def _is_excused(run: Run, now: datetime) -> bool:
    """Return True if the run has ended, or its clock is stopped before the task's own deadline."""
    of_use = run.task.deadline is None or now + CLOCKS_DIFFER < run.task.deadline
    stands = run.request is not None or run.state is State.PAUSED
    return run.state in ENDS or (stands and of_use)


def _wait_for(moment: datetime, now: datetime) -> None:
    """Raise RetryableError if the moment is still ahead.

    The clock that fired the timer is ahead of this one by the difference. The delay is twice that, because it is
    measured by that clock and must end after the moment by this one.
    """
    ahead = (moment - now).total_seconds()
    if ahead > CLOCKS_DIFFER.total_seconds():
        message = f"the timer fired {ahead:.1f} s early"
        raise RetryableError(message, after=min(2 * ahead, MOST_SECONDS), code="early", exact=True)


def wait_expired(builder: DecisionBuilder, message: timer.WaitExpired) -> None:
    """Fail the run that got no decision in time.

    Raises RetryableError `early` if the time is not up by this clock, TerminalError for a timer the orchestrator did
    not set.
    """
    check_timer(builder.run, message.token, WAIT)
    request = builder.run.request
    if request is None or request.request_id != message.request_id or builder.run.state in ENDS:
        return
    if request.expires is not None:
        _wait_for(request.expires, builder.now)
    if builder.run.state is State.PAUSED:
        builder.move(State.WAITING_HUMAN, "the wait expired")
    fail(builder, "no_decision", f"no decision in time: {request.question}")
