"""`decide(run, message, now, agents)`: the decision that follows from a message, without carrying it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas import approval, event, step, synthesis, timer
from schemas.acting import ActingCall
from schemas.approval import Feedback
from schemas.conversation import Conversation
from schemas.error import ErrorInfo
from schemas.event import ENDS, RunEvent, State
from schemas.message import Message
from schemas.question import Kind
from schemas.task import Shape, Task
from shared.errors import TerminalError
from shared.runs import answers, commands, deadlines, decisions
from shared.runs.advance import advance, wait
from shared.runs.builder import DecisionBuilder, Outgoing
from shared.runs.ending import end, fail, release, release_late, result_due_passed
from shared.runs.evolve import evolve
from shared.runs.governance import Governance, default_governance
from shared.runs.messages import ScreenedMessage, add_message
from shared.runs.planning import Agents, available_agents
from shared.runs.questions import Draft, raise_question
from shared.runs.run import TOO_LARGE, Run
from shared.runs.timers import timer_changes
from shared.runs.tripped import ASK, REJECT, GuardrailHit, reasons

UNREAD = "(this task could not be read)"
"""Objective of the stand-in for an unread task, whose text may hold secrets that no guardrail has checked."""


@dataclass(frozen=True, slots=True)
class Intake:
    """A task event, with the ids of its envelope."""

    run_id: str
    task_id: str
    task: Task
    traceparent: str | None = None
    tripped: tuple[GuardrailHit, ...] = ()
    """Guardrails that tripped; `task` is as they left it."""
    source: str | None = None
    """CloudEvents source of the task."""
    secret: str | None = None
    """Random secret, drawn by the caller: the core has no randomness of its own."""
    refused: ErrorInfo | None = None
    """Why the tenant's terms refuse the task, which is then unchanged; otherwise their defaults are filled in."""
    unread: bool = False
    """True if `task` is a stand-in for one that could not be read or decided; `refused` says why."""
    resumes: int = 0
    """Number of results already published, for an unread run that is ended by replacing it."""
    conversation: Conversation | None = None
    """Earlier turns of the task's session, as the caller loaded them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Events to record and messages to publish after that; `run` is the resulting state."""

    run: Run
    events: tuple[RunEvent, ...]
    messages: tuple[Outgoing, ...]
    cleared: tuple[str, ...] = ()
    """Ids of timers to clear."""


def decide(
    run: Run | None,
    message: Message | Intake | ScreenedMessage,
    now: datetime,
    agents: Agents,
    governance: Governance | None = None,
) -> Decision | None:
    """Decide about a message to a run; return None if the message concerns a run that does not exist.

    `governance`: the rules for people; default: the shipped ones.

    Deterministic: the same arguments give the same decision. A message that is late, repeated, or wrong for the state
    is recorded and changes nothing but the usage; the caller drops messages whose id it has already processed.
    Raises RetryableError for an answer to a handoff not sent yet: after a loss of the blackboard it will be sent.
    """
    if isinstance(message, Intake):
        may = available_agents(agents, message.task)
        redriven = run is not None and run.unread and run.state is State.REJECTED and not message.unread
        rules = governance or default_governance()
        if run is None or redriven:
            builder = _intake(message, now, may, rules, run)
        else:
            builder = DecisionBuilder(run, now, may, rules)
    elif run is None:
        return None
    else:
        builder = DecisionBuilder(run, now, available_agents(agents, run.task), governance or default_governance())
        _RULES[type(message)](builder, message)
        release_late(builder)
    return _decision(builder, run)


def give_up(run: Run, now: datetime, message: str, code: str = TOO_LARGE, answer: Message | None = None) -> Decision:
    """End a run that cannot proceed. With `run_too_large` its result omits the outputs of its steps.

    `answer`: the message that could not be processed; if it is an agent's answer, its usage is recorded.

    Raises TerminalError with that code for a run that has already ended: ending it again would change nothing.
    """
    if run.state in ENDS and not run.settling:
        raise TerminalError(message, code=code)
    builder = DecisionBuilder(run, now, {})
    if run.state is State.PAUSED and run.paused_from is not None:
        builder.move(run.paused_from, "the run cannot proceed")
    if run.settling:
        release(builder, too_large=code == TOO_LARGE)
    else:
        fail(builder, code, message, "let the steps store their results in files" if code == TOO_LARGE else None)
        if isinstance(answer, step.Answer):
            answers.record_report(builder, answer)
    return _decision(builder, run)


def end_unread(
    stand_in: Intake, now: datetime, error: ErrorInfo, before: Run | None = None, effected: Sequence[ActingCall] = ()
) -> Decision:
    """End a live run whose record or log cannot be read: its actions are unknown, so it is not restarted.

    `before`: the run as far as it is known; its usage and effects count. `effected`: further known calls.
    """
    builder = _start(stand_in, now, {}, stand_in.resumes)
    if before is not None:
        builder.record(event.Spent, usage=before.usage, models=before.models)
    acted, calls = (before.acted, [*before.effected, *effected]) if before else ([], [*effected])
    if acted or calls:
        builder.record(event.ActionsJudged, handoff_id=stand_in.run_id, judged=[], acted=acted, effected=calls)
    builder.move(State.PLANNING, "the actions of the run are unknown")
    fail(builder, error.code, error.message, error.suggested_action)
    return _decision(builder, None)


def _decision(builder: DecisionBuilder, before: Run | None) -> Decision:
    """Return the decision, with the timers that it sets and clears."""
    new, cleared = timer_changes(before, builder.run)
    return Decision(builder.run, tuple(builder.events), (*new, *builder.messages), tuple(cleared))


def _start(intake: Intake, now: datetime, agents: Agents, resumes: int) -> DecisionBuilder:
    """Start a run."""
    task = intake.task
    latest = now + timedelta(seconds=task.budget.seconds)
    started = event.RunStarted(
        run_id=intake.run_id,
        tenant=task.tenant,
        at=now,
        by="orchestrator",
        task_id=intake.task_id,
        source=intake.source,
        task=task,
        deadline=min(latest, task.deadline) if task.deadline else latest,
        traceparent=intake.traceparent,
        secret=intake.secret,
        unread=intake.unread,
        resumes=resumes,
        conversation=intake.conversation,
    )
    builder = DecisionBuilder(evolve(None, started), now, agents, events=[started])
    builder.move(State.VALIDATING, "the task was accepted")
    return builder


def _intake(
    intake: Intake, now: datetime, agents: Agents, governance: Governance, before: Run | None
) -> DecisionBuilder:
    """Start and validate the run. `before`: the rejected stand-in of the same task, if redriven; its result stays."""
    task = intake.task
    builder = _start(intake, now, agents, before.resumes + 1 if before else intake.resumes)
    builder.governance = governance
    for each in intake.tripped:
        facts = {"guardrail": each.kind, "action": each.action, "where": each.where, "why": each.why}
        builder.record(event.GuardrailTripped, count=each.count, **facts)
    objection = intake.refused or _objection(task, now, agents) or _guardrail(intake.tripped)
    if objection is not None:
        end(builder, State.REJECTED, objection.message, error=objection)
        return builder
    builder.move(State.PLANNING, "the task is valid")
    if asked := reasons(intake.tripped, ASK):
        question = f"Should this task be done? {asked}"
        raise_question(builder, Draft(Kind.TASK, "plan", question, _MAY_IT))
        wait(builder)
    else:
        advance(builder)
    return builder


_MAY_IT = ["approve: plan and execute it", "reject: end it, with a reason"]


def _guardrail(tripped: tuple[GuardrailHit, ...]) -> ErrorInfo | None:
    rejected = reasons(tripped, REJECT)
    if not rejected:
        return None
    return ErrorInfo(
        code="guardrail",
        message=rejected,
        suggested_action="remove it from the task, or ask the operator to change the guardrails",
    )


def _objection(task: Task, now: datetime, agents: Agents) -> ErrorInfo | None:
    if task.deadline is not None and task.deadline <= now:
        return ErrorInfo(code="deadline", message=f"the deadline {task.deadline.isoformat()} has already passed")
    card = agents.get(task.agent or "")
    named = task.shape is Shape.SINGLE or (task.shape is Shape.SWARM and task.agent is not None)
    if named and (card is None or not card.plannable):
        known = ", ".join(sorted(name for name, each in agents.items() if each.plannable)) or "none"
        return ErrorInfo(code="unknown_agent", message=f"there is no agent `{task.agent}`; known agents: {known}")
    return None


_RULES: dict[type[Message | ScreenedMessage], Callable[[DecisionBuilder, Any], None]] = {
    step.PlanProposed: answers.plan_proposed,
    step.StepCompleted: answers.step_completed,
    step.HandedOff: answers.handed_off,
    synthesis.AnswerWritten: answers.answer_written,
    step.ResultReviewed: answers.result_reviewed,
    step.HandoffFailed: answers.handoff_failed,
    step.HelpAsked: answers.help_asked,
    approval.HumanDecided: decisions.human_decided,
    approval.WithdrawAnswer: decisions.withdraw_answer,
    approval.DelegateQuestion: decisions.delegate_question,
    approval.CarryOut: commands.carry_out,
    approval.CancelRun: commands.cancel,
    approval.PauseRun: commands.pause,
    approval.ResumeRun: commands.resume,
    approval.EndSession: commands.end_session,
    approval.ReleaseClaim: commands.release_claim,
    ScreenedMessage: add_message,
    Feedback: commands.give_feedback,
    approval.RecordEvaluation: commands.record_evaluation,
    timer.DeadlinePassed: deadlines.deadline_passed,
    timer.WaitExpired: decisions.wait_expired,
    timer.QuestionDue: decisions.question_due,
    timer.ResultDue: result_due_passed,
}
