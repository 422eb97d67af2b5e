"""What follows from what people decide and command."""

from datetime import datetime, timedelta

from schemas import approval, event
from schemas.error import ErrorInfo
from schemas.event import State
from shared.runs.advance import advance, give_back_time
from shared.runs.draft import Draft
from shared.runs.ending import end, fail, release
from shared.runs.machine import ENDS, PAUSABLE
from shared.runs.result import effects_digest
from shared.runs.run import MAX_REPLANS, Run


def refusal_of(run: Run, order: approval.Command) -> str | None:
    """Return why the run does not take the order in its present state; None if it does."""
    match order:
        case approval.HumanDecided():
            return _not_awaited(run, order)
        case approval.CancelRun():
            allowed = run.state not in ENDS
        case approval.PauseRun():
            allowed = run.state in PAUSABLE
        case approval.ResumeRun():
            allowed = _is_paused(run) or _has_failed_on_the_way(run)
        case approval.CarryOut():
            return _not_to_be_carried_out(run, order.digest)
        case _:
            raise TypeError(f"{type(order).__name__} is no order to a run")
    return None if allowed else f"the run is {run.state}"


def human_decided(draft: Draft, message: approval.HumanDecided) -> None:
    """A person has answered what the run waits for. Of a paused run the answer is kept for when it is resumed."""
    request, back = draft.run.request, draft.run.waiting_from
    if why := refusal_of(draft.run, message):
        _refuse(draft, message.by, "decide", why)
        return
    assert request is not None, "it is awaited"
    assert back is not None, "a run that waits was somewhere before"
    paused = draft.run.state is State.PAUSED
    if paused:
        draft.move(State.WAITING_HUMAN, "a person decided", by=message.by)
    give_back_time(draft)
    given = {"request_id": request.request_id, "decision": message.decision, "answer": message.answer}
    draft.record(event.HelpAnswered, by=message.by, **given)
    if message.decision == "reject":
        _rejected(draft, message)
    else:
        if request.about == "review":
            draft.record(event.ReviewGiven, by=message.by, accepted=True, reasons=[message.answer], redo=[])
        draft.move(back, "a person decided", by=message.by)
    if paused and draft.run.state in PAUSABLE:
        draft.move(State.PAUSED, "still paused: the decision is kept", by=message.by)
    advance(draft)


def _not_awaited(run: Run, decision: approval.HumanDecided) -> str | None:
    request = run.request
    paused = run.state is State.PAUSED and run.paused_from is State.WAITING_HUMAN
    waiting = (run.state is State.WAITING_HUMAN or paused) and run.waiting_from is not None
    if not waiting or request is None or request.request_id != decision.request_id:
        return "no such decision is awaited"
    seen = request.proposal.digest if request.proposal else None
    return None if decision.digest in (None, seen) else "it is about another call than the one that is awaited"


def _is_paused(run: Run) -> bool:
    return run.state is State.PAUSED and run.paused_from is not None


def _has_failed_on_the_way(run: Run) -> bool:
    """True for a failed run that can be taken up again where it failed."""
    return run.state is State.FAILED and run.failed_from is not None and not run.unread


def _rejected(draft: Draft, message: approval.HumanDecided) -> None:
    reason = message.answer or "rejected without a reason"
    nothing_to_change = not draft.run.handoffs  # nobody has planned: it was the task that was asked about
    if nothing_to_change or draft.run.replans >= MAX_REPLANS:
        fail(draft, "rejected", f"rejected by {message.by}: {reason}")
        return
    draft.record(event.PlanDropped, by=message.by, reason=reason)
    draft.move(State.PLANNING, f"rejected: {reason}", by=message.by)


def cancel(draft: Draft, message: approval.CancelRun) -> None:
    """End the run, unless it has ended."""
    if why := refusal_of(draft.run, message):
        _refuse(draft, message.by, "cancel", why)
    else:
        error = ErrorInfo(code="cancelled", message=f"cancelled by {message.by}: {message.reason}")
        end(draft, State.CANCELLED, message.reason, error=error, by=message.by)


def pause(draft: Draft, message: approval.PauseRun) -> None:
    """Dispatch nothing more, and stop the clock; the task's own deadline holds all the same."""
    if why := refusal_of(draft.run, message):
        _refuse(draft, message.by, "pause", why)
    else:
        draft.move(State.PAUSED, message.reason, by=message.by)


def resume(draft: Draft, message: approval.ResumeRun) -> None:
    """Go on where the run was paused, or where it has failed."""
    run = draft.run
    if why := refusal_of(run, message):
        _refuse(draft, message.by, "resume", why)
    elif run.state is State.PAUSED:
        assert run.paused_from is not None, "it is resumed there"
        if run.request is None:  # else the time is given back with the decision
            give_back_time(draft)
        draft.move(run.paused_from, "resumed", by=message.by)
        advance(draft)
    else:
        assert run.failed_from is not None, "it is resumed there"
        release(draft)
        draft.record(event.RunResumed, by=message.by, deadline=_new_deadline(draft))
        draft.move(run.failed_from, "an operator resumed the failed run", by=message.by)
        advance(draft)


def carry_out(draft: Draft, message: approval.CarryOut) -> None:
    """Make the calls that a dry run has shown: those that were looked at, and once."""
    if why := refusal_of(draft.run, message):
        _refuse(draft, message.by, "carry out", why)
        return
    release(draft)
    draft.record(event.EffectsApproved, by=message.by, digest=message.digest, deadline=_new_deadline(draft))
    draft.move(State.EXECUTING, "what the dry run has shown is approved", by=message.by)
    advance(draft)


def _not_to_be_carried_out(run: Run, digest: str) -> str | None:
    if run.state is not State.COMPLETE:
        return f"the run is {run.state}"
    if run.carried_out_by is not None:
        return f"it was carried out already, by {run.carried_out_by}"
    shown = effects_digest(run)
    if shown is None:
        return "it has shown no calls"
    return None if digest == shown else "it has shown other calls than those"


def _new_deadline(draft: Draft) -> datetime:
    """A resumed run has its whole time again, but not past the task's own deadline if that is still ahead."""
    task = draft.run.task
    latest = draft.now + timedelta(seconds=task.budget.seconds)
    return min(latest, task.deadline) if task.deadline and task.deadline > draft.now else latest


def _refuse(draft: Draft, by: str, wanted: str, reason: str) -> None:
    draft.record(event.MoveRefused, by=by, source=draft.run.state, wanted=wanted, reason=reason)
