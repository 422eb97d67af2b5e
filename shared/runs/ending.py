"""End of a run: its state moves immediately; its one result follows when agents at work have reported."""

from datetime import timedelta

from schemas.error import ErrorInfo
from schemas.event import ResultReleased, State
from schemas.timer import ResultDue
from shared.runs.builder import DecisionBuilder
from shared.runs.result import result_of
from shared.runs.run import Run, in_flight
from shared.runs.tokens import RESULT, check_timer

REPORT_WITHIN = timedelta(seconds=10)
"""Longest wait of a result for agents at work when the run ended: they stop at their next call and report."""


def end(
    builder: DecisionBuilder, state: State, reason: str, *, error: ErrorInfo | None = None, by: str | None = None
) -> None:
    """End the run. Its result is published immediately if nothing is in flight, otherwise when the run has settled."""
    settling = bool(in_flight(builder.run) or builder.run.unanswered)
    builder.move(state, reason, error=error, by=by, settling=settling)
    if not settling:
        builder.send(result_id(builder.run), result_of(builder.run))


def fail(builder: DecisionBuilder, code: str, message: str, action: str | None = None) -> None:
    """End the run as failed, with the outputs so far as a partial answer."""
    end(builder, State.FAILED, message, error=ErrorInfo(code=code, message=message, suggested_action=action))


def settle(builder: DecisionBuilder) -> None:
    """Publish the result of an ended run if no agent is left to report."""
    if builder.run.settling and not builder.run.unanswered:
        release(builder)


def release(builder: DecisionBuilder, *, too_large: bool = False) -> None:
    """Publish the result of an ended run, unless it is already published."""
    if builder.run.settling:
        builder.record(ResultReleased, unanswered=builder.run.unanswered, too_large=too_large)
        builder.send(result_id(builder.run), result_of(builder.run))


def release_late(builder: DecisionBuilder) -> None:
    """Publish the result of an ended run whose waiting time is over, even if its timer never fired."""
    finished = builder.run.finished
    if builder.run.settling and finished is not None and builder.now > finished + REPORT_WITHIN:
        release(builder)


def result_due_passed(builder: DecisionBuilder, message: ResultDue) -> None:
    """Publish the result whose waiting time is over. A timer of an earlier end changes nothing.

    Raises TerminalError `wrong_token` for a timer that the orchestrator did not set.
    """
    check_timer(builder.run, message.token, RESULT)
    if message.end == builder.run.resumes:
        release(builder)


def result_id(run: Run) -> str:
    """Return the id of the result of an ended run; each end after a resume has an id of its own."""
    return f"{run.id}/result/{run.resumes}" if run.resumes else f"{run.id}/result"
