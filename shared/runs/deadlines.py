"""What follows from time passing."""

from datetime import timedelta

from schemas import timer
from schemas.event import State
from shared.errors import TerminalError
from shared.runs.advance import fail
from shared.runs.draft import Draft
from shared.runs.machine import ENDS
from shared.runs.tokens import DEADLINE, proves

CLOCKS_DIFFER = timedelta(seconds=1)
"""How far the clock that fired a timer may be ahead of ours. A timer comes once: taken for early, it would be lost."""


def deadline_passed(draft: Draft, message: timer.DeadlinePassed) -> None:
    """The timer of the run's deadline has fired. Raises TerminalError for one that the orchestrator has not set."""
    if not proves(draft.run, message.token, DEADLINE):
        raise TerminalError(f"the orchestrator has not set this timer of {draft.run.id}", code="wrong_token")
    ended_late(draft)


def ended_late(draft: Draft) -> bool:
    """Whether the deadline has passed and nothing excuses it; the run has failed then."""
    run = draft.run
    now = draft.now + CLOCKS_DIFFER
    of_use = run.task.deadline is None or now < run.task.deadline
    excused = run.state in ENDS or (run.request is not None and of_use)
    if now < run.deadline or excused:
        return False
    if run.state is State.PAUSED and run.paused_from is not None:
        draft.move(run.paused_from, "the deadline passed")
    seconds = (run.deadline - run.started).total_seconds()
    fail(draft, "deadline", f"not finished within {seconds:.0f} s", "raise budget.seconds or the deadline")
    return True


def wait_expired(draft: Draft, message: timer.WaitExpired) -> None:
    """Nobody has answered in time."""
    request = draft.run.request
    if request is None or request.request_id != message.request_id or draft.run.state in ENDS:
        return
    if draft.run.state is State.PAUSED:
        draft.move(State.WAITING_HUMAN, "the wait expired")
    fail(draft, "no_decision", f"nobody answered in time: {request.question}")
