"""The end of a run: its state moves at once; its one result follows when agents at work have reported."""

from datetime import timedelta

from schemas.error import ErrorInfo
from schemas.event import ResultReleased, State
from schemas.timer import ResultDue
from shared.runs.awaiting import in_flight
from shared.runs.draft import Draft
from shared.runs.result import result_of
from shared.runs.run import Run
from shared.runs.tokens import RESULT, check_timer

REPORT_WITHIN = timedelta(seconds=10)
"""How long a result waits for agents that were at work when the run ended: they stop at their next call and report."""


def end(draft: Draft, state: State, reason: str, *, error: ErrorInfo | None = None, by: str | None = None) -> None:
    """End the run. Its result is published at once if nothing is in flight, else when that is settled."""
    settling = bool(in_flight(draft.run) or draft.run.unanswered)
    draft.move(state, reason, error=error, by=by, settling=settling)
    if not settling:
        draft.send(result_id(draft.run), result_of(draft.run))


def fail(draft: Draft, code: str, message: str, action: str | None = None) -> None:
    """End the run as failed, with what was found until now as a partial answer."""
    end(draft, State.FAILED, message, error=ErrorInfo(code=code, message=message, suggested_action=action))


def settle(draft: Draft) -> None:
    """Publish the result of an ended run if nobody is left to report."""
    if draft.run.settling and not draft.run.unanswered:
        release(draft)


def release(draft: Draft, *, too_large: bool = False) -> None:
    """Publish the result of an ended run, if that has not happened."""
    if draft.run.settling:
        draft.record(ResultReleased, unanswered=draft.run.unanswered, too_large=too_large)
        draft.send(result_id(draft.run), result_of(draft.run))


def release_late(draft: Draft) -> None:
    """Publish the result of an ended run whose time to wait is over, whatever has come of the timer of that time."""
    finished = draft.run.finished
    if draft.run.settling and finished is not None and draft.now > finished + REPORT_WITHIN:
        release(draft)


def result_due_passed(draft: Draft, message: ResultDue) -> None:
    """Publish the result whose time to wait is over. A timer of an earlier end changes nothing.

    Raises TerminalError `wrong_token` for a timer that the orchestrator has not set.
    """
    check_timer(draft.run, message.token, RESULT)
    if message.end == draft.run.resumes:
        release(draft)


def result_id(run: Run) -> str:
    """Names the result of an ended run; one that was resumed and has ended again has another one."""
    return f"{run.id}/result/{run.resumes}" if run.resumes else f"{run.id}/result"
