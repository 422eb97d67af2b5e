"""Deadlines of runs: their timers, and their extension after a wait."""

from datetime import datetime

from schemas import timer
from schemas.event import ENDS, DeadlineMoved, State
from schemas.message import MOST_SECONDS
from shared.errors import RetryableError
from shared.runs.builder import DecisionBuilder
from shared.runs.clock import CLOCKS_DIFFER, present_deadline, stands_still
from shared.runs.ending import fail
from shared.runs.run import Run
from shared.runs.tokens import DEADLINE, check_timer


def extend_deadline(builder: DecisionBuilder) -> None:
    """Extend the deadline by the time for which the clock was stopped."""
    latest = present_deadline(builder.run, builder.now)
    if latest > builder.run.deadline:
        builder.record(DeadlineMoved, deadline=latest)


def deadline_passed(builder: DecisionBuilder, message: timer.DeadlinePassed) -> None:
    """Fail the run whose deadline this is. A timer for a deadline that was moved changes nothing.

    Raises RetryableError `early` if it has not passed by this clock, TerminalError for a timer the orchestrator did
    not set.
    """
    run = builder.run
    check_timer(run, message.token, DEADLINE)
    if message.deadline in (None, run.deadline) and not (fail_if_late(builder) or _is_excused(run, builder.now)):
        wait_for(run.deadline, builder.now)


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
    return run.state in ENDS or (stands_still(run) and of_use)


def wait_for(moment: datetime, now: datetime) -> None:
    """Raise RetryableError if the moment is still ahead.

    The clock that fired the timer is ahead of this one by the difference. The delay is twice that, because it is
    measured by that clock and must end after the moment by this one.
    """
    ahead = (moment - now).total_seconds()
    if ahead > CLOCKS_DIFFER.total_seconds():
        message = f"the timer fired {ahead:.1f} s early"
        raise RetryableError(message, after=min(2 * ahead, MOST_SECONDS), code="early", exact=True)
