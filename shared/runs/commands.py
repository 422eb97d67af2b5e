"""Rules for decisions and commands of people."""

from datetime import datetime, timedelta

from schemas import approval, event
from schemas.error import ErrorInfo
from schemas.event import ENDS, State
from shared.runs.advance import advance, extend_deadline
from shared.runs.builder import DecisionBuilder
from shared.runs.ending import end, fail, release
from shared.runs.machine import PAUSABLE
from shared.runs.result import effects_digest
from shared.runs.run import MAX_REPLANS, Run


def refusal_of(run: Run, order: approval.Command) -> str | None:
    """Return why the run refuses the command in its present state; None if it accepts it."""
    match order:
        case approval.HumanDecided():
            return _decision_refusal(run, order)
        case approval.CancelRun():
            allowed = run.state not in ENDS
        case approval.PauseRun():
            allowed = run.state in PAUSABLE
        case approval.ResumeRun():
            allowed = _is_paused(run) or _is_resumable(run)
        case approval.CarryOut():
            return _apply_refusal(run, order.digest)
        case _:
            raise TypeError(f"{type(order).__name__} is not a command to a run")
    return None if allowed else f"the run is {run.state}"


def human_decided(builder: DecisionBuilder, message: approval.HumanDecided) -> None:
    """Apply a person's decision. If the run is paused, the decision takes effect and the run stays paused."""
    request, back = builder.run.request, builder.run.waiting_from
    if why := refusal_of(builder.run, message):
        _refuse(builder, message.by, "decide", why)
        return
    assert request is not None, "the decision is awaited"
    assert back is not None, "a waiting run has a state to return to"
    paused = builder.run.state is State.PAUSED
    if paused:
        builder.move(State.WAITING_HUMAN, "a person decided", by=message.by)
    extend_deadline(builder)
    given = {"request_id": request.request_id, "decision": message.decision, "answer": message.answer}
    builder.record(event.HelpAnswered, by=message.by, **given)
    if message.decision == "reject":
        _reject(builder, message)
    else:
        if request.about == "review":
            builder.record(event.ReviewGiven, by=message.by, accepted=True, reasons=[message.answer], redo=[])
        builder.move(back, "a person decided", by=message.by)
    if paused and builder.run.state in PAUSABLE:
        builder.move(State.PAUSED, "still paused: the decision is recorded", by=message.by)
    advance(builder)


def _decision_refusal(run: Run, decision: approval.HumanDecided) -> str | None:
    request = run.request
    paused = run.state is State.PAUSED and run.paused_from is State.WAITING_HUMAN
    waiting = (run.state is State.WAITING_HUMAN or paused) and run.waiting_from is not None
    if not waiting or request is None or request.request_id != decision.request_id:
        return "no such decision is awaited"
    seen = request.proposal.digest if request.proposal else None
    return (
        None if decision.digest in (None, seen) else "the decision is about another call than the one that is awaited"
    )


def _is_paused(run: Run) -> bool:
    return run.state is State.PAUSED and run.paused_from is not None


def _is_resumable(run: Run) -> bool:
    """Return True for a failed run that can resume where it failed."""
    return run.state is State.FAILED and run.failed_from is not None and not run.unread


def _reject(builder: DecisionBuilder, message: approval.HumanDecided) -> None:
    reason = message.answer or "rejected without a reason"
    nothing_to_change = not builder.run.handoffs  # there is no plan: the question was about the task itself
    if nothing_to_change or builder.run.replans >= MAX_REPLANS:
        fail(builder, "rejected", f"rejected by {message.by}: {reason}")
        return
    builder.record(event.PlanDropped, by=message.by, reason=reason)
    builder.move(State.PLANNING, f"rejected: {reason}", by=message.by)


def cancel(builder: DecisionBuilder, message: approval.CancelRun) -> None:
    """Cancel the run, unless it has ended."""
    if why := refusal_of(builder.run, message):
        _refuse(builder, message.by, "cancel", why)
    else:
        error = ErrorInfo(code="cancelled", message=f"cancelled by {message.by}: {message.reason}")
        end(builder, State.CANCELLED, message.reason, error=error, by=message.by)


def pause(builder: DecisionBuilder, message: approval.PauseRun) -> None:
    """Stop dispatching, and stop the clock; the task's own deadline still applies."""
    if why := refusal_of(builder.run, message):
        _refuse(builder, message.by, "pause", why)
    else:
        builder.move(State.PAUSED, message.reason, by=message.by)


def resume(builder: DecisionBuilder, message: approval.ResumeRun) -> None:
    """Resume the run where it was paused, or where it failed."""
    run = builder.run
    if why := refusal_of(run, message):
        _refuse(builder, message.by, "resume", why)
    elif run.state is State.PAUSED:
        assert run.paused_from is not None, "a paused run resumes there"
        if run.request is None:  # otherwise the decision gives the time back
            extend_deadline(builder)
        builder.move(run.paused_from, "resumed", by=message.by)
        advance(builder)
    else:
        assert run.failed_from is not None, "a failed run resumes there"
        release(builder)
        builder.record(event.RunResumed, by=message.by, deadline=_new_deadline(builder))
        builder.move(run.failed_from, "an operator resumed the failed run", by=message.by)
        advance(builder)


def carry_out(builder: DecisionBuilder, message: approval.CarryOut) -> None:
    """Apply a dry run: make exactly the calls that were reviewed, once."""
    if why := refusal_of(builder.run, message):
        _refuse(builder, message.by, "apply", why)
        return
    release(builder)
    builder.record(event.EffectsApproved, by=message.by, digest=message.digest, deadline=_new_deadline(builder))
    builder.move(State.EXECUTING, "the calls of the dry run were approved", by=message.by)
    advance(builder)


def _apply_refusal(run: Run, digest: str) -> str | None:
    if run.state is not State.COMPLETE:
        return f"the run is {run.state}"
    if run.carried_out_by is not None:
        return f"the dry run was already applied, by {run.carried_out_by}"
    shown = effects_digest(run)
    if shown is None:
        return "the run shows no calls to make"
    return None if digest == shown else "the dry run shows other calls than those approved"


def _new_deadline(builder: DecisionBuilder) -> datetime:
    """Return the deadline of a resumed run: the full budget of time, capped at the task's deadline if still ahead."""
    task = builder.run.task
    latest = builder.now + timedelta(seconds=task.budget.seconds)
    return min(latest, task.deadline) if task.deadline and task.deadline > builder.now else latest


def _refuse(builder: DecisionBuilder, by: str, wanted: str, reason: str) -> None:
    builder.record(event.MoveRefused, by=by, source=builder.run.state, wanted=wanted, reason=reason)
