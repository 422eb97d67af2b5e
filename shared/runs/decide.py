"""`decide(run, message, now, agents)`: what follows from a message. It only says what shall happen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from schemas import approval, event, step, timer
from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.event import RunEvent, State
from schemas.message import Message
from schemas.task import Shape, Task
from shared.errors import TerminalError
from shared.runs import answers, commands, deadlines
from shared.runs.advance import advance, ask_person
from shared.runs.draft import Draft, Outgoing
from shared.runs.ending import end, fail, release, release_late, result_due_passed
from shared.runs.evolve import evolve
from shared.runs.machine import ENDS
from shared.runs.planning import Agents, usable
from shared.runs.run import TOO_LARGE, Run
from shared.runs.timers import changed

UNREAD = "(this task could not be read)"
"""Objective of the task that stands for an unread one: what it said may hold secrets no guardrail has looked at."""


ASK, REJECT = "ask", "reject"
"""Actions of tripped guardrails that decide about the run; all others have changed the text at most."""


class Tripped(Protocol):
    """A guardrail that has tripped; as text, where and why."""

    @property
    def kind(self) -> str:
        """Kind of the finding, such as `secret`."""
        ...

    @property
    def action(self) -> str:
        """Action of the policy, such as `ask`."""
        ...

    @property
    def where(self) -> str:
        """Part of the task."""
        ...

    @property
    def why(self) -> str:
        """Reason, without anything of the text."""
        ...

    @property
    def count(self) -> int:
        """Number of findings."""
        ...


@dataclass(frozen=True, slots=True)
class Intake:
    """A task event, with the ids its envelope gave it."""

    run_id: str
    task_id: str
    task: Task
    traceparent: str | None = None
    tripped: tuple[Tripped, ...] = ()
    """The guardrails that have tripped; the task is as they have left it."""
    source: str | None = None
    """The CloudEvents source of the task."""
    secret: str | None = None
    """Unguessable, drawn by the caller: the core has no randomness of its own."""
    refused: ErrorInfo | None = None
    """Why its tenant may not have it; the task is then as it came, else as its tenant's terms have filled it in."""
    unread: bool = False
    """True if `task` stands for one that could not be read or decided; `refused` says why."""
    resumes: int = 0
    """Results that the run has published already: of an unread run that is ended by replacing it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be recorded, then published; `run` is the state after that."""

    run: Run
    events: tuple[RunEvent, ...]
    messages: tuple[Outgoing, ...]
    cleared: tuple[str, ...] = ()
    """Ids of timers without a use."""


def decide(run: Run | None, message: Message | Intake, now: datetime, agents: Agents) -> Decision | None:
    """What follows from this message for this run; None when it concerns a run that does not exist.

    Deterministic: the same arguments give the same decision. A message that comes too late, twice, or to the wrong
    state leaves a record and changes nothing but what was spent: the caller drops messages whose id it has seen.
    Raises RetryableError for an answer to what was not asked yet: after a loss of the blackboard it will be.
    """
    if isinstance(message, Intake):
        may = usable(agents, message.task)
        redriven = run is not None and run.unread and run.state is State.REJECTED and not message.unread
        draft = _take_in(message, now, may, run) if run is None or redriven else Draft(run, now, may)
    elif run is None:
        return None
    else:
        draft = Draft(run, now, usable(agents, run.task))
        _RULES[type(message)](draft, message)
        release_late(draft)
    return _decision(draft, run)


def give_up(run: Run, now: datetime, message: str, code: str = TOO_LARGE, answer: Message | None = None) -> Decision:
    """End a run that cannot proceed. With `run_too_large` its result leaves out what its steps have brought.

    `answer`: the message it gives up on; if it is an agent's answer, that agent has reported.

    Raises TerminalError with that code for a run that has ended already: ending it again would change nothing.
    """
    if run.state in ENDS and not run.settling:
        raise TerminalError(message, code=code)
    draft = Draft(run, now, {})
    if run.state is State.PAUSED and run.paused_from is not None:
        draft.move(run.paused_from, "it cannot go on")
    if run.settling:
        release(draft, too_large=code == TOO_LARGE)
    else:
        fail(draft, code, message, "let the steps keep what they bring in files" if code == TOO_LARGE else None)
        if isinstance(answer, step.Answer):
            answers.reported(draft, answer)
    return _decision(draft, run)


def end_unread(
    stand_in: Intake, now: datetime, error: ErrorInfo, before: Run | None = None, effected: Sequence[ActingCall] = ()
) -> Decision:
    """End a live run whose record or log cannot be read: what it has done is not known, so it is not begun again.

    `before`: the run as far as it is known; what it had spent and effected counts. `effected`: calls known besides.
    """
    draft = _begun(stand_in, now, {}, stand_in.resumes)
    if before is not None:
        draft.record(event.Spent, usage=before.usage, models=before.models)
    acted, calls = (before.acted, [*before.effected, *effected]) if before else ([], [*effected])
    if acted or calls:
        draft.record(event.ActionsJudged, handoff_id=stand_in.run_id, judged=[], acted=acted, effected=calls)
    draft.move(State.PLANNING, "what the run has done is not known")
    fail(draft, error.code, error.message, error.suggested_action)
    return _decision(draft, None)


def _decision(draft: Draft, before: Run | None) -> Decision:
    """The decision, with the timers that it sets and clears."""
    new, cleared = changed(before, draft.run)
    return Decision(draft.run, tuple(draft.events), (*new, *draft.messages), tuple(cleared))


def _begun(intake: Intake, now: datetime, agents: Agents, resumes: int) -> Draft:
    """The run at its beginning."""
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
    )
    draft = Draft(evolve(None, started), now, agents, events=[started])
    draft.move(State.VALIDATING, "the task was taken in")
    return draft


def _take_in(intake: Intake, now: datetime, agents: Agents, before: Run | None) -> Draft:
    """Begin the run. `before` is the rejected stand-in of the same task, if it is redriven: its result stays."""
    task = intake.task
    draft = _begun(intake, now, agents, before.resumes + 1 if before else intake.resumes)
    for each in intake.tripped:
        facts = {"guardrail": each.kind, "action": each.action, "where": each.where, "why": each.why}
        draft.record(event.GuardrailTripped, count=each.count, **facts)
    objection = intake.refused or _objection(task, now, agents) or _guardrail(intake.tripped)
    if objection is not None:
        end(draft, State.REJECTED, objection.message, error=objection)
        return draft
    draft.move(State.PLANNING, "the task makes sense")
    if reasons := _reasons(intake.tripped, ASK):
        ask_person(draft, "plan", f"shall this be done? {reasons}", _MAY_IT)
    else:
        advance(draft)
    return draft


_MAY_IT = ["approve: plan it and carry it out", "reject: end it, with a reason"]


def _guardrail(tripped: tuple[Tripped, ...]) -> ErrorInfo | None:
    reasons = _reasons(tripped, REJECT)
    if not reasons:
        return None
    return ErrorInfo(
        code="guardrail",
        message=reasons,
        suggested_action="take it out of the task, or have the operator change the guardrails",
    )


def _reasons(tripped: tuple[Tripped, ...], action: str) -> str:
    return "; ".join(f"guardrail `{each.kind}`: {each}" for each in tripped if each.action == action)[:2_000]


def _objection(task: Task, now: datetime, agents: Agents) -> ErrorInfo | None:
    if task.deadline is not None and task.deadline <= now:
        return ErrorInfo(code="deadline", message=f"the deadline {task.deadline.isoformat()} has passed already")
    card = agents.get(task.agent or "")
    if task.shape is Shape.SINGLE and (card is None or not card.plannable):
        known = ", ".join(sorted(name for name, each in agents.items() if each.plannable)) or "none"
        return ErrorInfo(code="unknown_agent", message=f"there is no agent `{task.agent}`; there are: {known}")
    return None


_RULES: dict[type[Message], Callable[[Draft, Any], None]] = {
    step.PlanProposed: answers.plan_proposed,
    step.StepCompleted: answers.step_completed,
    step.ResultReviewed: answers.reviewed,
    step.HandoffFailed: answers.handoff_failed,
    step.HelpAsked: answers.help_asked,
    approval.HumanDecided: commands.human_decided,
    approval.CarryOut: commands.carry_out,
    approval.CancelRun: commands.cancel,
    approval.PauseRun: commands.pause,
    approval.ResumeRun: commands.resume,
    timer.DeadlinePassed: deadlines.deadline_passed,
    timer.WaitExpired: deadlines.wait_expired,
    timer.ResultDue: result_due_passed,
}
