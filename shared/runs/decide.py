"""`decide(run, message, now, agents)`: what follows from a message. It only says what shall happen."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas import approval, event, step, timer
from schemas.error import ErrorInfo
from schemas.event import RunEvent, State
from schemas.message import Message
from schemas.task import Shape, Task
from shared.errors import RetryableError, TerminalError
from shared.guard import Action, Tripped, strictest
from shared.runs.advance import advance, ask_person, end, fail, give_back_waiting_time, set_deadline
from shared.runs.dispatch import is_ahead
from shared.runs.draft import Draft, Outgoing
from shared.runs.evolve import evolve
from shared.runs.machine import ENDS, PAUSABLE
from shared.runs.planning import Agents, problems
from shared.runs.result import TOO_LARGE
from shared.runs.run import MAX_ATTEMPTS, MAX_REPLANS, NOTICED, Run

CLOCKS_DIFFER = timedelta(seconds=1)
"""How far the clock that fired a timer may be ahead of ours. A timer comes once: taken for early, it would be lost."""


@dataclass(frozen=True, slots=True)
class Intake:
    """A task event, with the ids its envelope gave it."""

    run_id: str
    task_id: str
    task: Task
    traceparent: str | None = None
    tripped: tuple[Tripped, ...] = ()
    """The guardrails that have tripped; the task is as they have left it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be recorded, then published; `run` is the state after that."""

    run: Run
    events: tuple[RunEvent, ...]
    messages: tuple[Outgoing, ...]


def decide(run: Run | None, message: Message | Intake, now: datetime, agents: Agents) -> Decision | None:
    """What follows from this message for this run; None when it concerns a run that does not exist.

    Deterministic: the same arguments give the same decision. A message that comes too late, twice, or to the wrong
    state leaves a record and changes nothing but what was spent: the caller drops messages whose id it has seen.
    Raises RetryableError for an answer to what was not asked yet: after a loss of the blackboard it will be.
    """
    if isinstance(message, Intake):
        draft = _take_in(message, now, agents) if run is None else Draft(run, now, agents)
    elif run is None:
        return None
    else:
        draft = Draft(run, now, agents)
        _RULES[type(message)](draft, message)
    return Decision(draft.run, tuple(draft.events), tuple(draft.messages))


def give_up(run: Run, now: datetime, message: str) -> Decision:
    """End a run whose next messages would be too large to be sent; its result is without what its steps have brought.

    Raises TerminalError `run_too_large` for a run that has ended already: nothing becomes smaller by ending it again.
    """
    if run.state in ENDS:
        raise TerminalError(message, code=TOO_LARGE)
    draft = Draft(run, now, {})
    if run.state is State.PAUSED and run.paused_from is not None:
        draft.move(run.paused_from, "it cannot go on")
    fail(draft, TOO_LARGE, message, "let the steps keep what they bring in files")
    return Decision(draft.run, tuple(draft.events), tuple(draft.messages))


def _take_in(intake: Intake, now: datetime, agents: Agents) -> Draft:
    task = intake.task
    latest = now + timedelta(seconds=task.budget.seconds)
    started = event.RunStarted(
        run_id=intake.run_id,
        tenant=task.tenant,
        at=now,
        by="orchestrator",
        task_id=intake.task_id,
        task=task,
        deadline=min(latest, task.deadline) if task.deadline else latest,
        traceparent=intake.traceparent,
    )
    draft = Draft(evolve(None, started), now, agents, events=[started])
    draft.move(State.VALIDATING, "the task was taken in")
    for each in intake.tripped:
        facts = {"guardrail": each.kind, "action": each.action, "where": each.where, "why": each.why}
        draft.record(event.GuardrailTripped, count=each.count, **facts)
    objection = _objection(task, now, agents) or _guardrail(intake.tripped)
    if objection is not None:
        end(draft, State.REJECTED, objection.message, error=objection)
        return draft
    draft.move(State.PLANNING, "the task makes sense")
    set_deadline(draft)
    if strictest(intake.tripped) is Action.ASK:
        ask_person(draft, "plan", f"shall this be done? {_reasons(intake.tripped, Action.ASK)}", _MAY_IT)
    else:
        advance(draft)
    return draft


_MAY_IT = ["approve: plan it and carry it out", "reject: end it, with a reason"]


def _guardrail(tripped: tuple[Tripped, ...]) -> ErrorInfo | None:
    if strictest(tripped) is not Action.REJECT:
        return None
    return ErrorInfo(
        code="guardrail",
        message=_reasons(tripped, Action.REJECT),
        suggested_action="take it out of the task, or have the operator change the guardrails",
    )


def _reasons(tripped: tuple[Tripped, ...], action: Action) -> str:
    return "; ".join(f"guardrail `{each.kind}`: {each}" for each in tripped if each.action is action)[:2_000]


def _objection(task: Task, now: datetime, agents: Agents) -> ErrorInfo | None:
    if task.deadline is not None and task.deadline <= now:
        return ErrorInfo(code="deadline", message=f"the deadline {task.deadline.isoformat()} has passed already")
    card = agents.get(task.agent or "")
    if task.shape is Shape.SINGLE and (card is None or not card.plannable):
        known = ", ".join(sorted(name for name, each in agents.items() if each.plannable)) or "none"
        return ErrorInfo(code="unknown_agent", message=f"there is no agent `{task.agent}`; there are: {known}")
    return None


def _is_open(draft: Draft, answer: step.Answer) -> bool:
    """Whether the answer is to a handoff that is awaited. Its usage counts in any case: it was spent."""
    if draft.run.state not in ENDS:
        if is_ahead(draft.run, answer.handoff_id):
            raise RetryableError(f"{answer.handoff_id} is answered and was not asked yet", after=0.5, code="ahead")
        draft.record(event.Spent, by=answer.agent, usage=answer.usage, models=answer.models)
        _notice_budget(draft)
        if answer.handoff_id in _awaited(draft.run, type(answer)):
            return True
    draft.record(event.AnswerIgnored, by=answer.agent, handoff_id=answer.handoff_id)
    return False


def _notice_budget(draft: Draft) -> None:
    """Record each share of the budget once, when it is first reached."""
    run = draft.run
    share, limit = run.task.budget.share(run.usage)
    for noticed in NOTICED:
        if run.budget_reached < noticed <= share:
            draft.record(event.BudgetReached, share=noticed, limit=limit)


def _awaited(run: Run, kind: type[step.Answer]) -> set[str | None]:
    """The handoffs that an answer of this kind can be to. A failure or a question can be to any."""
    steps = {record.handoff_id for record in run.steps.values()}
    only: dict[type[step.Answer], set[str | None]] = {
        step.PlanProposed: {run.planning.handoff_id},
        step.StepCompleted: steps,
        step.ResultReviewed: {run.reviewing.handoff_id},
    }
    return only.get(kind, steps | {run.planning.handoff_id, run.reviewing.handoff_id})


def _step_of(draft: Draft, answer: step.Answer) -> str | None:
    return next((key for key, each in draft.run.steps.items() if each.handoff_id == answer.handoff_id), None)


def _plan_proposed(draft: Draft, message: step.PlanProposed) -> None:
    if not _is_open(draft, message):
        return
    found = problems(message.plan, draft.run.task, draft.agents)
    if found:
        draft.record(event.PlanRefused, problems=found)
    else:
        draft.record(event.PlanAccepted, by=message.agent, plan=message.plan)
    advance(draft)


def _step_completed(draft: Draft, message: step.StepCompleted) -> None:
    if _is_open(draft, message) and (step_id := _step_of(draft, message)):
        draft.record(
            event.StepDone,
            by=message.agent,
            step_id=step_id,
            output=message.output,
            seconds=message.seconds,
            usage=message.usage,
        )
        advance(draft)


def _reviewed(draft: Draft, message: step.ResultReviewed) -> None:
    if _is_open(draft, message):
        verdict = {"accepted": message.accepted, "reasons": message.reasons, "redo": message.redo}
        draft.record(event.ReviewGiven, by=message.agent, **verdict)
        advance(draft)


def _handoff_failed(draft: Draft, message: step.HandoffFailed) -> None:
    if not _is_open(draft, message):
        return
    final = not message.error.retryable or _attempts(draft, message) >= MAX_ATTEMPTS
    draft.record(event.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=message.error, final=final)
    if not _ended_late(draft):  # a step that stops at the deadline may tell so before the timer does
        advance(draft)


def _attempts(draft: Draft, answer: step.Answer) -> int:
    """How often the work was tried that this is the answer to."""
    if step_id := _step_of(draft, answer):
        return draft.run.steps[step_id].attempts
    jobs = (draft.run.planning, draft.run.reviewing)
    return next(job.attempts - job.refusals for job in jobs if job.handoff_id == answer.handoff_id)


def _help_asked(draft: Draft, message: step.HelpAsked) -> None:
    if not _is_open(draft, message):
        return
    if step_id := _step_of(draft, message):
        asked = {"question": message.question, "options": message.options, "call": message.call}
        draft.record(event.StepAsked, by=message.agent, step_id=step_id, **asked)
    else:
        error = ErrorInfo(code="needs_human", message=message.question)
        draft.record(event.AttemptFailed, by=message.agent, handoff_id=message.handoff_id, error=error, final=True)
    advance(draft)


def _human_decided(draft: Draft, message: approval.HumanDecided) -> None:
    request, back = draft.run.request, draft.run.waiting_from
    waiting = draft.run.state is State.WAITING_HUMAN and request is not None and back is not None
    if not waiting or request is None or back is None or request.request_id != message.request_id:
        _refuse(draft, message.by, "decide", "no such decision is awaited")
        return
    give_back_waiting_time(draft)
    given = {"request_id": request.request_id, "decision": message.decision, "answer": message.answer}
    draft.record(event.HelpAnswered, by=message.by, **given)
    if message.decision == "reject":
        _rejected(draft, message)
        return
    if request.about == "review":
        draft.record(event.ReviewGiven, by=message.by, accepted=True, reasons=[message.answer], redo=[])
    draft.move(back, "a person decided", by=message.by)
    advance(draft)


def _rejected(draft: Draft, message: approval.HumanDecided) -> None:
    reason = message.answer or "rejected without a reason"
    nothing_to_change = not draft.run.handoffs  # nobody has planned: it was the task that was asked about
    if nothing_to_change or draft.run.replans >= MAX_REPLANS:
        fail(draft, "rejected", f"rejected by {message.by}: {reason}")
        return
    draft.record(event.PlanDropped, by=message.by, reason=reason)
    draft.move(State.PLANNING, f"rejected: {reason}", by=message.by)
    advance(draft)


def _cancel(draft: Draft, message: approval.CancelRun) -> None:
    if draft.run.state in ENDS:
        _refuse(draft, message.by, "cancel", f"the run is {draft.run.state}")
    else:
        error = ErrorInfo(code="cancelled", message=f"cancelled by {message.by}: {message.reason}")
        end(draft, State.CANCELLED, message.reason, error=error, by=message.by)


def _pause(draft: Draft, message: approval.PauseRun) -> None:
    if draft.run.state in PAUSABLE:
        draft.move(State.PAUSED, message.reason, by=message.by)
    else:
        _refuse(draft, message.by, "pause", f"the run is {draft.run.state}")


def _resume(draft: Draft, message: approval.ResumeRun) -> None:
    run = draft.run
    if run.state is State.PAUSED and run.paused_from is not None:
        draft.move(run.paused_from, "resumed", by=message.by)
        advance(draft)
    elif run.state is State.FAILED and run.failed_from is not None:
        draft.record(event.RunResumed, by=message.by, deadline=_new_deadline(draft))
        draft.move(run.failed_from, "an operator resumed the failed run", by=message.by)
        set_deadline(draft)
        advance(draft)
    else:
        _refuse(draft, message.by, "resume", f"the run is {draft.run.state}")


def _new_deadline(draft: Draft) -> datetime:
    """A resumed run has its whole time again, but not past the task's own deadline if that is still ahead."""
    task = draft.run.task
    latest = draft.now + timedelta(seconds=task.budget.seconds)
    return min(latest, task.deadline) if task.deadline and task.deadline > draft.now else latest


def _deadline_passed(draft: Draft, message: timer.DeadlinePassed) -> None:
    _ended_late(draft)


def _ended_late(draft: Draft) -> bool:
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


def _wait_expired(draft: Draft, message: timer.WaitExpired) -> None:
    request = draft.run.request
    if request is None or request.request_id != message.request_id or draft.run.state in ENDS:
        return
    if draft.run.state is State.PAUSED:
        draft.move(State.WAITING_HUMAN, "the wait expired")
    fail(draft, "no_decision", f"nobody answered in time: {request.question}")


def _refuse(draft: Draft, by: str, wanted: str, reason: str) -> None:
    draft.record(event.MoveRefused, by=by, source=draft.run.state, wanted=wanted, reason=reason)


_RULES: dict[type[Message], Callable[[Draft, Any], None]] = {
    step.PlanProposed: _plan_proposed,
    step.StepCompleted: _step_completed,
    step.ResultReviewed: _reviewed,
    step.HandoffFailed: _handoff_failed,
    step.HelpAsked: _help_asked,
    approval.HumanDecided: _human_decided,
    approval.CancelRun: _cancel,
    approval.PauseRun: _pause,
    approval.ResumeRun: _resume,
    timer.DeadlinePassed: _deadline_passed,
    timer.WaitExpired: _wait_expired,
}
