"""Rules for agents' answers: facts are recorded in any state, then the run advances from them."""

from schemas import event, step, step_events, synthesis
from schemas.conflict import conflict_problems
from schemas.error import ErrorInfo
from schemas.event import ENDS
from shared.errors import RetryableError, TerminalError
from shared.runs.advance import advance
from shared.runs.builder import DecisionBuilder
from shared.runs.clock import present_deadline
from shared.runs.deadlines import fail_if_late
from shared.runs.digests import plan_digest
from shared.runs.dispatch import is_ahead, step_named
from shared.runs.ending import settle
from shared.runs.handing import BRIEF_ALTERED, hand_over
from shared.runs.messages import is_outdated
from shared.runs.planning import problems
from shared.runs.run import MAX_ATTEMPTS, NOTICED, PlannerTask, Run, StepRecord, in_flight, requests_of
from shared.runs.tokens import is_valid_token


def _is_open(builder: DecisionBuilder, answer: step.Answer) -> bool:
    """Record the facts of an answer; return True if it answers an awaited handoff.

    Usage and effects of the agent count in any case, also after the end. Nothing counts of an answer that another
    agent sent; if the run is over, such an answer raises TerminalError, because each would make the log grow.
    """
    if reason := _forgery_reason(builder.run, answer):
        if builder.run.over:
            raise TerminalError(f"the answer to {answer.handoff_id} is not from its agent", code=reason)
        builder.record(event.AnswerIgnored, by=answer.agent, handoff_id=answer.handoff_id, reason=reason)
        return False
    ended = builder.run.state in ENDS
    if not ended and is_ahead(builder.run, answer.handoff_id):
        raise RetryableError(f"{answer.handoff_id} was answered before it was sent", after=0.5, code="ahead")
    is_open = not ended and answer.handoff_id in _expected_handoffs(builder.run, type(answer))
    states_usage = is_open and isinstance(answer, step.StepCompleted | step.HandedOff)
    step_id = None if states_usage else step_named(builder.run, answer.handoff_id)
    builder.record(event.Spent, by=answer.agent, usage=answer.usage, models=answer.models, step_id=step_id)
    if answer.judged or answer.acted or answer.effected:
        facts = {name: getattr(answer, name) for name in ("handoff_id", "judged", "acted", "effected")}
        builder.record(event.ActionsJudged, by=answer.agent, **facts)
    if not ended:
        _notice_budget(builder)
    if not is_open:
        builder.record(event.AnswerIgnored, by=answer.agent, handoff_id=answer.handoff_id)
        settle(builder)
    return is_open


def record_report(builder: DecisionBuilder, answer: step.Answer) -> None:
    """Record only the usage and the effects that the answer reports."""
    _is_open(builder, answer)


def _forgery_reason(run: Run, answer: step.Answer) -> str:
    """Return the reason why the answer cannot be from its agent; empty if it can."""
    if not is_valid_token(run, answer.token, answer.handoff_id, answer.agent):
        return "wrong_token"
    asked = {record.handoff_id: record.step.agent for record in run.steps.values()}
    asked |= {request.handoff_id: agent for agent, request in requests_of(run).items()}
    return "" if asked.get(answer.handoff_id, answer.agent) == answer.agent else "wrong_agent"


def _notice_budget(builder: DecisionBuilder) -> None:
    """Record each share of the budget once, when first reached."""
    run = builder.run
    share, limit = run.task.budget.share(run.usage)
    for noticed in NOTICED:
        if run.budget_reached < noticed <= share:
            builder.record(event.BudgetReached, share=noticed, limit=limit)


def _expected_handoffs(run: Run, kind: type[step.Answer]) -> set[str | None]:
    """Return the handoffs that this kind of answer may belong to. A failure or a question may belong to any."""
    only: dict[type[step.Answer], set[str | None]] = {
        step.PlanProposed: {run.planning.handoff_id},
        step.StepCompleted: {record.handoff_id for record in run.steps.values()},
        step.HandedOff: {record.handoff_id for record in run.steps.values()},
        synthesis.AnswerWritten: {run.writing.handoff_id},
        step.ResultReviewed: {run.reviewing.handoff_id},
    }
    return only.get(kind, set(in_flight(run)))


def _step_of(builder: DecisionBuilder, answer: step.Answer) -> str | None:
    return next((key for key, each in builder.run.steps.items() if each.handoff_id == answer.handoff_id), None)


def plan_proposed(builder: DecisionBuilder, message: step.PlanProposed) -> None:
    """Accept a proposed plan if it can be executed; otherwise record why not."""
    if not _is_open(builder, message):
        return
    if is_outdated(builder, message):
        advance(builder)
        return
    digest = plan_digest(message.plan)
    again = ["it is the same plan again, which was not accepted"] if digest in builder.run.refused_plans else []
    found = [*problems(message.plan, builder.run.task, builder.agents), *again]
    if found:
        builder.record(event.PlanRefused, problems=found, digest=digest)
    else:
        builder.record(event.PlanAccepted, by=message.agent, plan=message.plan, tainted=message.tainted)
    advance(builder)


def step_completed(builder: DecisionBuilder, message: step.StepCompleted) -> None:
    """Record the output of a completed step."""
    if _is_open(builder, message) and (step_id := _step_of(builder, message)):
        builder.record(
            step_events.StepDone,
            by=message.agent,
            step_id=step_id,
            output=message.output,
            seconds=message.seconds,
            usage=message.usage,
            versions=message.versions,
        )
        advance(builder)


def handed_off(builder: DecisionBuilder, message: step.HandedOff) -> None:
    """Pass the work on to the next agent, or end the run; an altered brief is one more failed attempt."""
    if not _is_open(builder, message) or (step_id := _step_of(builder, message)) is None:
        return
    if message.brief.digest == message.brief_digest:
        hand_over(builder, builder.run.steps[step_id], message)
    else:
        final = _attempts(builder, message) >= MAX_ATTEMPTS
        why = "the brief was altered after its agent wrote it: its digest does not match"
        error = ErrorInfo(code=BRIEF_ALTERED, message=why, retryable=True)
        builder.record(
            step_events.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=error, final=final
        )
    advance(builder)


def answer_written(builder: DecisionBuilder, message: synthesis.AnswerWritten) -> None:
    """Record the one answer from the outputs of the steps; one that invents steps in its conflicts is a failure."""
    if not _is_open(builder, message):
        return
    written = message.synthesis
    if found := conflict_problems(written.conflicts, builder.run.steps):
        error = ErrorInfo(code="invalid_reply", message="; ".join(found)[:2_000])
        facts = {"handoff_id": message.handoff_id, "error": error, "final": True}
        builder.record(step_events.AttemptFailed, by=message.agent, **facts)
    else:
        builder.record(event.SynthesisWritten, by=message.agent, synthesis=written)
    advance(builder)


def result_reviewed(builder: DecisionBuilder, message: step.ResultReviewed) -> None:
    """Record the reviewer's verdict, unless it accepts without having read the latest message."""
    if not _is_open(builder, message):
        return
    if not (message.accepted and is_outdated(builder, message)):
        verdict = {"accepted": message.accepted, "reasons": message.reasons, "redo": message.redo}
        builder.record(event.ReviewGiven, by=message.agent, **verdict)
    advance(builder)


def handoff_failed(builder: DecisionBuilder, message: step.HandoffFailed) -> None:
    """Record a failed attempt: the handoff is retried, or the work is given up."""
    if not _is_open(builder, message):
        return
    again = message.error.retryable or _was_in_time(builder, message)
    final = not again or _attempts(builder, message) >= MAX_ATTEMPTS
    builder.record(
        step_events.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=message.error, final=final
    )
    if not fail_if_late(builder):  # an agent may report the deadline before the timer fires
        advance(builder)


def _was_in_time(builder: DecisionBuilder, answer: step.HandoffFailed) -> bool:
    """Return True for a timeout at a deadline that has been extended since, because the clock was stopped."""
    run = builder.run
    works: list[PlannerTask | StepRecord] = [*run.steps.values(), *requests_of(run).values()]
    known = next((each.deadline for each in works if each.handoff_id == answer.handoff_id), None)
    return answer.error.code == "timeout" and known is not None and present_deadline(run, builder.now) > known


def _attempts(builder: DecisionBuilder, answer: step.Answer) -> int:
    """Return the number of attempts at the work that this answer belongs to."""
    if step_id := _step_of(builder, answer):
        return builder.run.steps[step_id].attempts_since_resume
    return next(
        request.attempts_since_resume - request.refusals
        for request in requests_of(builder.run).values()
        if request.handoff_id == answer.handoff_id
    )


def help_asked(builder: DecisionBuilder, message: step.HelpAsked) -> None:
    """Record an agent's question to a person."""
    if not _is_open(builder, message):
        return
    if step_id := _step_of(builder, message):
        asked = message.model_dump(include={"question", "options", "call", "proposal", "kind", "background"})
        builder.record(step_events.StepAsked, by=message.agent, step_id=step_id, **asked)
    else:
        error = ErrorInfo(code="needs_human", message=message.question)
        builder.record(
            step_events.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=error, final=True
        )
    advance(builder)
