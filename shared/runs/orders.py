"""What follows from what people decide and command."""

from datetime import datetime, timedelta

from schemas import approval, event
from schemas.error import ErrorInfo
from schemas.event import State
from shared.runs.advance import advance, give_back_time, set_deadline, wake_at_the_latest
from shared.runs.draft import Draft
from shared.runs.ending import end, fail, release
from shared.runs.machine import ENDS, PAUSABLE
from shared.runs.result import effects_digest
from shared.runs.run import MAX_REPLANS, Run


def human_decided(draft: Draft, message: approval.HumanDecided) -> None:
    """A person has answered what the run waits for. Of a paused run the answer is kept for when it is resumed."""
    request, back = draft.run.request, draft.run.waiting_from
    paused = draft.run.state is State.PAUSED and draft.run.paused_from is State.WAITING_HUMAN
    waiting = draft.run.state is State.WAITING_HUMAN or paused
    if not waiting or request is None or back is None or request.request_id != message.request_id:
        _refuse(draft, message.by, "decide", "no such decision is awaited")
        return
    seen = request.proposal.digest if request.proposal else None
    if message.digest not in (None, seen):
        _refuse(draft, message.by, "decide", "it is about another call than the one that is awaited")
        return
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
    if draft.run.state in ENDS:
        _refuse(draft, message.by, "cancel", f"the run is {draft.run.state}")
    else:
        error = ErrorInfo(code="cancelled", message=f"cancelled by {message.by}: {message.reason}")
        end(draft, State.CANCELLED, message.reason, error=error, by=message.by)


def pause(draft: Draft, message: approval.PauseRun) -> None:
    """Dispatch nothing more, and stop the clock; the task's own deadline holds all the same."""
    if draft.run.state in PAUSABLE:
        draft.move(State.PAUSED, message.reason, by=message.by)
        wake_at_the_latest(draft)
    else:
        _refuse(draft, message.by, "pause", f"the run is {draft.run.state}")


def resume(draft: Draft, message: approval.ResumeRun) -> None:
    """Go on where the run was paused, or where it has failed."""
    run = draft.run
    if run.state is State.PAUSED and run.paused_from is not None:
        if run.request is None:  # else the time is given back with the decision
            give_back_time(draft)
        draft.move(run.paused_from, "resumed", by=message.by)
        advance(draft)
    elif run.state is State.FAILED and run.failed_from is not None and not run.unread:
        release(draft)
        draft.record(event.RunResumed, by=message.by, deadline=_new_deadline(draft))
        draft.move(run.failed_from, "an operator resumed the failed run", by=message.by)
        set_deadline(draft)
        advance(draft)
    else:
        _refuse(draft, message.by, "resume", f"the run is {draft.run.state}")


def carry_out(draft: Draft, message: approval.CarryOut) -> None:
    """Make the calls that a dry run has shown: those that were looked at, and once."""
    run = draft.run
    if why := _not_to_be_carried_out(run, message.digest):
        _refuse(draft, message.by, "carry out", why)
        return
    release(draft)
    draft.record(event.EffectsApproved, by=message.by, digest=message.digest, deadline=_new_deadline(draft))
    draft.move(State.EXECUTING, "what the dry run has shown is approved", by=message.by)
    set_deadline(draft)
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
