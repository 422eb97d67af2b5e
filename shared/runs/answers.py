"""What follows from agents' answers: facts are recorded whatever the state, then the run goes on from them."""

from schemas import event, step
from schemas.error import ErrorInfo
from shared.errors import RetryableError, TerminalError
from shared.runs.advance import advance
from shared.runs.awaiting import in_flight
from shared.runs.clock import present_deadline
from shared.runs.deadlines import ended_late
from shared.runs.digests import plan_digest
from shared.runs.dispatch import PLANNER, REVIEWER, is_ahead, step_named
from shared.runs.draft import Draft
from shared.runs.ending import settle
from shared.runs.machine import ENDS
from shared.runs.planning import problems
from shared.runs.run import MAX_ATTEMPTS, NOTICED, Job, Run, StepRecord
from shared.runs.tokens import proves


def _is_open(draft: Draft, answer: step.Answer) -> bool:
    """Return true if the answer is to a handoff that is awaited.

    What its agent spent and did counts in any case, also after the end. Of an answer that is not its agent's nothing
    counts. Raises TerminalError for one to a run that is over: its log would grow with each.
    """
    if reason := _forged(draft.run, answer):
        if draft.run.over:
            raise TerminalError(f"the answer to {answer.handoff_id} is not its agent's", code=reason)
        draft.record(event.AnswerIgnored, by=answer.agent, handoff_id=answer.handoff_id, reason=reason)
        return False
    ended = draft.run.state in ENDS
    if not ended and is_ahead(draft.run, answer.handoff_id):
        raise RetryableError(f"{answer.handoff_id} is answered and was not asked yet", after=0.5, code="ahead")
    is_open = not ended and answer.handoff_id in _awaited(draft.run, type(answer))
    step_id = None if is_open and isinstance(answer, step.StepCompleted) else step_named(draft.run, answer.handoff_id)
    draft.record(event.Spent, by=answer.agent, usage=answer.usage, models=answer.models, step_id=step_id)
    if answer.judged or answer.acted or answer.effected:
        facts = {name: getattr(answer, name) for name in ("handoff_id", "judged", "acted", "effected")}
        draft.record(event.ActionsJudged, by=answer.agent, **facts)
    if not ended:
        _notice_budget(draft)
    if not is_open:
        draft.record(event.AnswerIgnored, by=answer.agent, handoff_id=answer.handoff_id)
        settle(draft)
    return is_open


def reported(draft: Draft, answer: step.Answer) -> None:
    """Take from the answer only what was spent and done."""
    _is_open(draft, answer)


def _forged(run: Run, answer: step.Answer) -> str:
    """The reason why the answer cannot be its agent's; empty when it may be."""
    if not proves(run, answer.token, answer.handoff_id, answer.agent):
        return "wrong_token"
    asked = {record.handoff_id: record.step.agent for record in run.steps.values()}
    asked |= {run.planning.handoff_id: PLANNER, run.reviewing.handoff_id: REVIEWER}
    return "" if asked.get(answer.handoff_id, answer.agent) == answer.agent else "wrong_agent"


def _notice_budget(draft: Draft) -> None:
    """Record each share of the budget once, when it is first reached."""
    run = draft.run
    share, limit = run.task.budget.share(run.usage)
    for noticed in NOTICED:
        if run.budget_reached < noticed <= share:
            draft.record(event.BudgetReached, share=noticed, limit=limit)


def _awaited(run: Run, kind: type[step.Answer]) -> set[str | None]:
    """The handoffs that an answer of this kind can be to. A failure or a question can be to any."""
    only: dict[type[step.Answer], set[str | None]] = {
        step.PlanProposed: {run.planning.handoff_id},
        step.StepCompleted: {record.handoff_id for record in run.steps.values()},
        step.ResultReviewed: {run.reviewing.handoff_id},
    }
    return only.get(kind, set(in_flight(run)))


def _step_of(draft: Draft, answer: step.Answer) -> str | None:
    return next((key for key, each in draft.run.steps.items() if each.handoff_id == answer.handoff_id), None)


def plan_proposed(draft: Draft, message: step.PlanProposed) -> None:
    """The planner has made a plan: it is taken if it can be carried out."""
    if not _is_open(draft, message):
        return
    digest = plan_digest(message.plan)
    again = ["it is the same plan again that was not accepted"] if digest in draft.run.refused_plans else []
    found = [*problems(message.plan, draft.run.task, draft.agents), *again]
    if found:
        draft.record(event.PlanRefused, problems=found, digest=digest)
    else:
        draft.record(event.PlanAccepted, by=message.agent, plan=message.plan, tainted=message.tainted)
    advance(draft)


def step_completed(draft: Draft, message: step.StepCompleted) -> None:
    """A specialist has done its step."""
    if _is_open(draft, message) and (step_id := _step_of(draft, message)):
        draft.record(
            event.StepDone,
            by=message.agent,
            step_id=step_id,
            output=message.output,
            seconds=message.seconds,
            usage=message.usage,
            versions=message.versions,
        )
        advance(draft)


def reviewed(draft: Draft, message: step.ResultReviewed) -> None:
    """The reviewer has given its verdict."""
    if _is_open(draft, message):
        verdict = {"accepted": message.accepted, "reasons": message.reasons, "redo": message.redo}
        draft.record(event.ReviewGiven, by=message.agent, **verdict)
        advance(draft)


def handoff_failed(draft: Draft, message: step.HandoffFailed) -> None:
    """An agent could not do what it was asked: it is asked again, or the work is given up."""
    if not _is_open(draft, message):
        return
    again = message.error.retryable or _was_in_time(draft, message)
    final = not again or _attempts(draft, message) >= MAX_ATTEMPTS
    draft.record(event.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=message.error, final=final)
    if not ended_late(draft):  # a step that stops at the deadline may tell so before the timer does
        advance(draft)


def _was_in_time(draft: Draft, answer: step.HandoffFailed) -> bool:
    """Return true for a time-out by a deadline that the run does not have any more: its clock has stood meanwhile."""
    run = draft.run
    works: list[Job | StepRecord] = [*run.steps.values(), run.planning, run.reviewing]
    known = next((each.deadline for each in works if each.handoff_id == answer.handoff_id), None)
    return answer.error.code == "timeout" and known is not None and present_deadline(run, draft.now) > known


def _attempts(draft: Draft, answer: step.Answer) -> int:
    """How often the work was tried that this is the answer to."""
    if step_id := _step_of(draft, answer):
        return draft.run.steps[step_id].attempts
    jobs = (draft.run.planning, draft.run.reviewing)
    return next(job.attempts - job.refusals for job in jobs if job.handoff_id == answer.handoff_id)


def help_asked(draft: Draft, message: step.HelpAsked) -> None:
    """An agent needs a person."""
    if not _is_open(draft, message):
        return
    if step_id := _step_of(draft, message):
        asked = message.model_dump(include={"question", "options", "call", "proposal"})
        draft.record(event.StepAsked, by=message.agent, step_id=step_id, **asked)
    else:
        error = ErrorInfo(code="needs_human", message=message.question)
        draft.record(event.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=error, final=True)
    advance(draft)
