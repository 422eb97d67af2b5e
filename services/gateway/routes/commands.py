"""Routes that change a run: decisions and operator commands."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import APIRouter

from schemas.api.commands import (
    ApplyRequest,
    CommandAccepted,
    CommandRequest,
    DecisionRequest,
    DelegateRequest,
    FeedbackRequest,
    MessageRequest,
    ReasonedRequest,
    WithdrawRequest,
)
from schemas.approval import (
    AddMessage,
    CancelRun,
    CarryOut,
    Command,
    DelegateQuestion,
    Feedback,
    HumanDecided,
    PauseRun,
    ResumeRun,
    WithdrawAnswer,
)
from schemas.event import State
from schemas.question import Kind, Reply
from services.gateway.access import Caller
from services.gateway.dependencies import CallerDep, PartsDep, RunId, RunSnapshot, SnapshotDep, Tenant, snapshot_of
from services.gateway.edited_calls import require_executable, require_fit
from services.gateway.errors import Refused, error_responses
from services.gateway.publishing import deliver
from services.gateway.settings import GatewaySettings
from shared.access.people import People
from shared.access.principals import read_principals
from shared.blackboard import UnreadableRun, known_agents
from shared.runs import ENDS, Run, refusal_of
from shared.runs.messages import is_known
from shared.runs.open_question import OpenQuestion
from shared.runs.result import effects_digest
from shared.service import Parts

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["commands"], responses=error_responses(404, 409, 413))


@router.post("/cancel", status_code=202, summary="Cancel a run")
async def cancel_run(
    order: ReasonedRequest, run_id: RunId, tenant: Tenant, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """End the run; no further call is made for it. The result follows once agents at work have reported.

    A run with an unreadable record can be cancelled, too.
    """
    try:
        return await _command(parts, await snapshot_of(run_id, tenant, parts), CancelRun, order, caller)
    except UnreadableRun as unreadable:
        if unreadable.state in ENDS:
            raise
    return await _send(parts, _command_of(CancelRun, run_id, tenant, order, caller), caller)


@router.post("/messages", status_code=202, summary="Add a message to a run")
async def say_to_run(
    order: MessageRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Add words to the task of a run at work; agents read them at their next turn. Answers no question.

    409 `ended` for a run that has ended: submit a task with the same `session` instead. After a 503, send the message
    again with the same `message_id`.
    """
    run = _started_run(snapshot)
    if run.state in ENDS:
        action = "submit a task with the same `session`: it is given this run as an earlier turn"
        raise Refused(409, "ended", f"the run {run.id} has ended: {run.state}", action=action)
    message_id = order.message_id or f"message-{uuid4().hex}"
    accepted = CommandAccepted(run_id=run.id, tenant=run.tenant, message_id=message_id)
    if not is_known(run, message_id):
        said = order.model_copy(update={"message_id": message_id})
        await _send_checked(parts, run, AddMessage, said, caller)
    return accepted


@router.post("/feedback", status_code=202, summary="Say if a run solved the problem")
async def give_feedback(
    order: FeedbackRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Rate the result of a run that has ended. Of each person the latest feedback counts. 409 before its end."""
    return await _send_checked(parts, _started_run(snapshot), Feedback, order, caller)


@router.post("/pause", status_code=202, summary="Pause a run")
async def pause_run(
    order: ReasonedRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Dispatch nothing more until the run is resumed; work in flight is kept. 409 for a paused run."""
    return await _command(parts, snapshot, PauseRun, order, caller)


@router.post("/resume", status_code=202, summary="Resume a run")
async def resume_run(
    order: CommandRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Resume a paused run, or a failed run at the step that failed. 409 for any other run."""
    run = _started_run(snapshot)
    if run.state in ENDS - {State.FAILED}:
        raise _run_ended(run)
    return await _send_checked(parts, run, ResumeRun, order, caller)


@router.post("/carry-out", status_code=202, summary="Apply a dry run")
async def carry_out_run(
    order: ApplyRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Make the calls that the dry run has shown, once, in order and unchanged; no model is called."""
    run = _started_run(snapshot)
    shown = effects_digest(run)
    if run.carried_out_by is not None:
        message = f"the calls of the run {run.id} were already applied by {run.carried_out_by}"
        raise Refused(409, "already_applied", message, action="GET the run's result: it lists the calls made")
    if run.state is not State.COMPLETE or shown is None:
        action = "apply a completed run that was submitted with `dry_run` and lists calls in its result"
        raise Refused(409, "nothing_to_carry_out", f"the run {run.id} has no calls to apply", action=action)
    if shown != order.digest:
        action = "review the calls in the run's result and send its `effects_digest`"
        raise Refused(409, "not_awaited", f"the digest is not that of the calls of the run {run.id}", action=action)
    return await _send_checked(parts, run, CarryOut, order, caller)


@router.post("/decisions", status_code=202, summary="Answer a run's question")
async def decide_for_run(
    order: DecisionRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Answer one of the run's open `questions`, as its `offers` allow.

    Edited arguments must fit the tool's schema, an edited plan must be one that the run can execute.

    The answer takes effect once as many people have given it as the question's `terms` require.
    """
    question = _open_question(snapshot, order.request_id)
    proposal = question.asked.proposal
    if order.digest not in (None, proposal.digest if proposal else None):
        message = f"the run {snapshot.id} waits for a decision about another call"
        raise Refused(409, "not_awaited", message, action="review the call in the run's `questions`, then decide")
    await _require_usable(order, question, _active_run(snapshot), parts)
    return await _command(parts, snapshot, HumanDecided, order, caller)


async def _require_usable(order: DecisionRequest, question: OpenQuestion, run: Run, parts: Parts) -> None:
    """Raise Refused 422 for an edit that would be refused where it takes effect."""
    if order.arguments is None:
        return
    if question.asked.proposal is not None:
        require_fit(order.arguments, question.asked.proposal)
    elif question.kind is Kind.PLAN:
        require_executable(_as_text(order.arguments), run, await known_agents(parts.redis))


@router.post("/decisions/withdraw", status_code=202, summary="Withdraw an answer")
async def withdraw_answer(
    order: WithdrawRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Take back the caller's own answer, as long as it has had no effect. 409 afterwards."""
    _open_question(snapshot, order.request_id)
    return await _command(parts, snapshot, WithdrawAnswer, order, caller)


@router.post("/decisions/delegate", status_code=202, summary="Pass a question on")
async def delegate_question(
    order: DelegateRequest, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """Let another person answer in the caller's place."""
    _open_question(snapshot, order.request_id)
    return await _command(parts, snapshot, DelegateQuestion, order, caller)


def _open_question(snapshot: RunSnapshot, request_id: str) -> OpenQuestion:
    """Return the question. Raises Refused 409 if it is not open."""
    question = _active_run(snapshot).questions.get(request_id)
    if question is None:
        message = f"the run {snapshot.id} does not wait for a decision {request_id}"
        raise Refused(409, "not_awaited", message, action="GET the run: `questions` has the open ones, if any")
    return question


async def _command(
    parts: Parts, snapshot: RunSnapshot, kind: type[Command], order: CommandRequest, caller: Caller
) -> CommandAccepted:
    return await _send_checked(parts, _active_run(snapshot), kind, order, caller)


async def send_to_live(
    parts: Parts,
    snapshot: RunSnapshot,
    kind: type[Command],
    fields: Mapping[str, Any],
    order: CommandRequest,
    caller: Caller,
) -> CommandAccepted:
    """Publish a command with these fields to a run that has started; it may be settling."""
    run = _started_run(snapshot)
    about = {"run_id": run.id, "tenant": run.tenant, "by": caller.acting_name(order.by)}
    command = kind.model_validate({**fields, **about})
    if why := refusal_of(run, command, People(), datetime.now(UTC)):
        raise _wrong_state(run, command, why)
    return await _send(parts, command, caller)


async def _send_checked(
    parts: Parts, run: Run, kind: type[Command], order: CommandRequest, caller: Caller
) -> CommandAccepted:
    """Publish the command if the present state allows it. If the run changes meanwhile, it records a refusal."""
    command = _command_of(kind, run.id, run.tenant, order, caller)
    people = People(read_principals(parts.own_settings(GatewaySettings).principals))
    if why := refusal_of(run, command, people, datetime.now(UTC)):
        raise _wrong_state(run, command, why)
    return await _send(parts, command, caller)


async def _send(parts: Parts, command: Command, caller: Caller) -> CommandAccepted:
    message_id = f"command-{uuid4().hex}"
    await deliver(parts, command, id=message_id, run_id=command.run_id, authenticated=caller.principal is not None)
    return CommandAccepted(run_id=command.run_id, tenant=command.tenant, message_id=message_id)


def _command_of(kind: type[Command], run_id: str, tenant: str, order: CommandRequest, caller: Caller) -> Command:
    subject = {"run_id": run_id, "tenant": tenant, "by": caller.acting_name(order.by)}
    fields = _answer_fields(order) if isinstance(order, DecisionRequest) else order.model_dump()
    return kind.model_validate(fields | subject)


def _answer_fields(order: DecisionRequest) -> dict[str, Any]:
    """Return the fields of the decision on the wire, whose `decision` older readers understand, too."""
    arguments = None if order.arguments is None else _as_text(order.arguments)
    coarse = "approve" if order.decision is Reply.APPROVE else "reject"
    return order.model_dump() | {"decision": coarse, "reply": order.decision, "arguments": arguments}


def _as_text(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)


_SEE_QUESTION = "GET the run: `questions` has the open ones, with their `offers`, and whose answers they take"


def _wrong_state(run: Run, command: Command, why: str) -> Refused:
    """Return the 409 for a command that the run would refuse in its present state."""
    action = "GET the run: its state and its `waiting_for` show which commands it takes"
    passing = False
    match command:
        case PauseRun() if run.state is State.PAUSED:
            action = "do nothing, the run is paused; resume it when it should continue"
        case ResumeRun() if run.state is not State.FAILED:
            action = "resume a paused or failed run only; if the run was paused just now, repeat the request"
            passing = True
        case ResumeRun():
            action = "submit the task again: this run failed before it had a step to resume from"
        case Feedback():
            action = "give feedback once the run has ended; GET the run: `ratings` has what people have said"
        case AddMessage():
            action = "follow the run; when it has ended, submit a task with the same `session`"
        case HumanDecided() | WithdrawAnswer() | DelegateQuestion():
            return Refused(409, "not_awaited", f"the answer is not taken: {why}", action=_SEE_QUESTION)
    message = f"the run {run.id} does not take this command: {why}"
    return Refused(409, "wrong_state", message, retryable=passing, action=action)


def _active_run(snapshot: RunSnapshot) -> Run:
    """Return the run. Raises Refused 409 if it has ended."""
    run = _started_run(snapshot)
    if run.state in ENDS:
        raise _run_ended(run)
    return run


def _started_run(snapshot: RunSnapshot) -> Run:
    """Return the run. Raises Refused 409 for a pending task: a command that overtook it would find no run."""
    if snapshot.run is None:
        action = "repeat the request in a moment"
        raise Refused(409, "not_started", f"the run {snapshot.id} has not started yet", retryable=True, action=action)
    return snapshot.run


def _run_ended(run: Run) -> Refused:
    action = "GET the run's result; to do the work once more, submit the task again"
    return Refused(409, "ended", f"the run {run.id} has ended: {run.state}", action=action)
