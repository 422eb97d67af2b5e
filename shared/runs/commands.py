"""Rules for the commands of operators and callers, and the refusals of all commands."""

from datetime import datetime, timedelta

from schemas import approval, event
from schemas.approval import Feedback
from schemas.caller_message import MOST_PEOPLE, MOST_TIMES, Rating
from schemas.error import ErrorInfo
from schemas.event import ENDS, FeedbackGiven, State
from schemas.question import Kind, Terms
from schemas.versions import Versions
from shared.authorization import Subject
from shared.runs.advance import advance
from shared.runs.builder import DecisionBuilder
from shared.runs.deadlines import extend_deadline
from shared.runs.decisions import refuse
from shared.runs.ending import end, release
from shared.runs.governance import People
from shared.runs.machine import PAUSABLE
from shared.runs.messages import message_refusal
from shared.runs.result import effects_digest, shown_effects
from shared.runs.run import Run
from shared.runs.votes import decision_refusal, delegation_refusal, withdrawal_refusal


def refusal_of(run: Run, order: approval.Command, people: People, now: datetime) -> str | None:
    """Return why the run refuses the command in its present state; None if it accepts it."""
    match order:
        case approval.HumanDecided():
            return decision_refusal(run, order, people, now)
        case approval.WithdrawAnswer():
            return withdrawal_refusal(run, order, people, now)
        case approval.DelegateQuestion():
            return delegation_refusal(run, order, people)
        case approval.CarryOut():
            return _apply_refusal(run, order.digest)
        case approval.EndSession():
            return _end_refusal(run, order.session)
        case approval.AddMessage():
            return message_refusal(run, order)
        case Feedback():
            return _feedback_refusal(run, order, people)
        case approval.ResumeRun() if run.state is State.FAILED and run.unapproved:
            return "people have not permitted its task: submit it again, and they are asked again"
    return None if _allows(run, order) else f"the run is {run.state}"


def _allows(run: Run, order: approval.Command) -> bool:
    """Return True if the state of the run allows the command."""
    match order:
        case approval.CancelRun():
            return run.state not in ENDS
        case approval.PauseRun():
            return run.state in PAUSABLE
        case approval.ResumeRun():
            return _is_paused(run) or _is_resumable(run)
        case approval.ReleaseClaim():
            return not run.over
    raise TypeError(f"{type(order).__name__} is not a command to a run")


def _refusal(builder: DecisionBuilder, order: approval.Command) -> str | None:
    return refusal_of(builder.run, order, builder.governance.people, builder.now)


def _is_paused(run: Run) -> bool:
    return run.state is State.PAUSED and run.paused_from is not None


def _is_resumable(run: Run) -> bool:
    """Return True for a failed run that can resume where it failed: not for one that people did not permit."""
    return run.state is State.FAILED and run.failed_from is not None and not (run.unread or run.unapproved)


def _end_refusal(run: Run, session: str) -> str | None:
    """Return why this run cannot end that session; None if it can."""
    if run.task.session != session:
        return f"it is not of the session {session}"
    return None if run.session_end is None else f"the session was already ended by {run.session_end.by}"


def end_session(builder: DecisionBuilder, message: approval.EndSession) -> None:
    """Record that the conversation up to this run has ended. The run itself continues, if it is at work."""
    if why := _refusal(builder, message):
        refuse(builder, message.by, "end the session", why)
    else:
        builder.record(event.SessionEnded, by=message.by)


def cancel(builder: DecisionBuilder, message: approval.CancelRun) -> None:
    """Cancel the run, unless it has ended."""
    if why := _refusal(builder, message):
        refuse(builder, message.by, "cancel", why)
    else:
        error = ErrorInfo(code="cancelled", message=f"cancelled by {message.by}: {message.reason}")
        end(builder, State.CANCELLED, message.reason, error=error, by=message.by)


def pause(builder: DecisionBuilder, message: approval.PauseRun) -> None:
    """Stop dispatching, and stop the clock; the task's own deadline still applies."""
    if why := _refusal(builder, message):
        refuse(builder, message.by, "pause", why)
    else:
        builder.move(State.PAUSED, message.reason, by=message.by)


def resume(builder: DecisionBuilder, message: approval.ResumeRun) -> None:
    """Resume the run where it was paused, or where it failed."""
    run = builder.run
    if why := _refusal(builder, message):
        refuse(builder, message.by, "resume", why)
    elif run.state is State.PAUSED:
        assert run.paused_from is not None, "a paused run resumes there"
        if run.paused_from is not State.WAITING_HUMAN:  # otherwise the end of the wait gives the time back
            extend_deadline(builder)
        builder.move(run.paused_from, "resumed", by=message.by)
        advance(builder)
    else:
        assert run.failed_from is not None, "a failed run resumes there"
        release(builder)
        builder.record(event.RunResumed, by=message.by, deadline=_new_deadline(builder))
        builder.move(run.failed_from, "an operator resumed the failed run", by=message.by)
        advance(builder)


def release_claim(builder: DecisionBuilder, message: approval.ReleaseClaim) -> None:
    """End a claim of the run: the blackboard counts no claim that its run has recorded as released."""
    if why := _refusal(builder, message):
        refuse(builder, message.by, "release a claim", why)
    elif message.number not in builder.run.released_claims:
        builder.record(
            event.ClaimReleased,
            by=message.by,
            resource=message.resource,
            number=message.number,
            reason=message.reason,
        )


def carry_out(builder: DecisionBuilder, message: approval.CarryOut) -> None:
    """Apply a dry run: make exactly the calls that were reviewed, once."""
    if why := _refusal(builder, message) or _terms_refusal(builder, message.by):
        refuse(builder, message.by, "apply", why)
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


def _terms_refusal(builder: DecisionBuilder, by: str) -> str | None:
    """Return the reason why one person may not approve all calls of the dry run, by the terms of such questions."""
    run, people = builder.run, builder.governance.people
    policy = builder.governance.policy(run.tenant)
    for record, effect in shown_effects(run):
        agent, kind = record.step.agent, run.task.type
        subject = Subject(Kind.CALL, effect.tool, agent, kind, effect.risk, effect.moves, effect.recipients)
        terms = policy.terms_of(subject).terms
        if effect.verdict == "ask" and (why := _one_person_refusal(terms, by, run, people)):
            return f"{effect.tool}: {why}"
    return None


def _one_person_refusal(terms: Terms, by: str, run: Run, people: People) -> str | None:
    if len(terms.stages) > 1 or terms.stages[0].needed > 1:
        return "several people must approve such a call: submit the task without `dry_run`"
    if not people.is_in(by, terms.stages[0].groups):
        return f"it is asked of another group: {', '.join(terms.stages[0].groups)}"
    if terms.separate and people.person(by) == people.person(run.task.requested_by):
        return "the person who requested the task may not approve (separation of duties)"
    return None


def _new_deadline(builder: DecisionBuilder) -> datetime:
    """Return the deadline of a resumed run: the full budget of time, capped at the task's deadline if still ahead."""
    task = builder.run.task
    latest = builder.now + timedelta(seconds=task.budget.seconds)
    return min(latest, task.deadline) if task.deadline and task.deadline > builder.now else latest


def _feedback_refusal(run: Run, order: Feedback, people: People) -> str | None:
    """Return why the run takes no feedback of this person; None if it does."""
    if not run.over:
        return "the run has not ended: feedback is about its result"
    earlier = _rating_of(run, people.person(order.by) or order.by)
    if earlier is None and len(run.ratings) >= MOST_PEOPLE:
        return f"the run has the feedback of {MOST_PEOPLE} people, the most it keeps"
    if earlier is not None and earlier.times >= MOST_TIMES:
        return f"{MOST_TIMES} times is the most that one person may give feedback on a run"
    return None


def give_feedback(builder: DecisionBuilder, order: Feedback) -> None:
    """Record a person's feedback, with what the run was made with. It changes nothing else of the run."""
    run = builder.run
    if why := _feedback_refusal(run, order, builder.governance.people):
        refuse(builder, order.by, "give feedback", why)
        return
    person = builder.governance.people.person(order.by) or order.by
    earlier = _rating_of(run, person)
    builder.record(
        FeedbackGiven,
        by=order.by,
        person=person,
        solved=order.solved,
        before=earlier.solved if earlier else None,
        score=order.score,
        comment=order.comment,
        task_type=run.task.type,
        state=run.state.value,
        agents=_agents(run),
        models=run.models,
        cost_usd=run.usage.cost_usd,
        steps=len(run.steps),
    )


def record_evaluation(builder: DecisionBuilder, message: approval.RecordEvaluation) -> None:
    """Record the checks of the run's present end, once. Those of an earlier end are ignored."""
    run, given = builder.run, message.evaluation
    known = run.evaluation is not None and run.evaluation.end >= given.end
    if not run.over or given.end != run.resumes or known:
        return
    builder.record(
        event.RunEvaluated,
        by=message.by,
        evaluation=given,
        task_type=run.task.type,
        agents=_agents(run),
        cost_usd=run.usage.cost_usd,
    )


def _rating_of(run: Run, person: str) -> Rating | None:
    return next((each for each in run.ratings if each.person == person), None)


def _agents(run: Run) -> dict[str, Versions | None]:
    return {each.step.agent: each.versions for each in run.steps.values() if each.status == "done"}
