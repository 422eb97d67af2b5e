"""People and operators tell runs what to do."""

from typing import Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from schemas.approval import CancelRun, CarryOut, Command, HumanDecided, PauseRun, ResumeRun
from schemas.event import State
from schemas.message import Id, Part, Text
from services.gateway.access import Caller
from services.gateway.dependencies import CallerDep, PartsDep, RunId, RunSnapshot, SnapshotDep, Tenant, snapshot_of
from services.gateway.errors import Refused, error_responses
from services.gateway.publishing import deliver
from services.gateway.views import Commanded
from shared.blackboard import UnreadableRun
from shared.runs import ENDS, Run, refusal_of
from shared.runs.result import effects_digest
from shared.service import Parts

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["commands"], responses=error_responses(404, 409, 413))


BY = "Who wants it. Where a key is asked for, its owner's name counts instead; elsewhere it is needed."


class Order(Part):
    """What is wanted, and by whom."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # the body of a request

    by: str | None = Field(None, min_length=1, max_length=200, description=BY)


class ReasonedOrder(Order):
    """What is wanted, by whom and why."""

    reason: Text


class Decision(Order):
    """A person's answer to the question in the run's `waiting_for`."""

    request_id: Id
    decision: Literal["approve", "reject"]
    answer: str = Field("", max_length=20_000, description="What the agent shall know; with a rejection: why.")
    digest: str | None = Field(
        None, description="`digest` of the `proposal` that was looked at: another one is not approved by mistake."
    )


@router.post("/cancel", status_code=202, summary="Cancel a run")
async def cancel_run(
    order: ReasonedOrder, run_id: RunId, tenant: Tenant, parts: PartsDep, caller: CallerDep
) -> Commanded:
    """End the run; no further call is made for it. The result follows once agents at work have reported.

    A run whose record cannot be read is ended, too.
    """
    try:
        return await _command(parts, await snapshot_of(run_id, tenant, parts), CancelRun, order, caller)
    except UnreadableRun as unreadable:
        if unreadable.state in ENDS:
            raise
    return await _send(parts, _order(CancelRun, run_id, tenant, order, caller), caller)


@router.post("/pause", status_code=202, summary="Pause a run")
async def pause_run(order: ReasonedOrder, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> Commanded:
    """Dispatch nothing more until the run is resumed; what is in flight is kept. 409 for a paused run."""
    return await _command(parts, snapshot, PauseRun, order, caller)


@router.post("/resume", status_code=202, summary="Resume a run")
async def resume_run(order: Order, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> Commanded:
    """Go on from where the run was paused, or, if it has failed, from the step that failed. 409 for any other run."""
    run = _started_run(snapshot)
    if run.state in ENDS - {State.FAILED}:
        raise _run_ended(run)
    return await _send_checked(parts, run, ResumeRun, order, caller)


class CarryOutOrder(Order):
    """The calls a dry run has shown, by the digest of its result."""

    digest: str = Field(min_length=64, max_length=64, description="`effects_digest` of the run's result.")


@router.post("/carry-out", status_code=202, summary="Make the calls a dry run has shown")
async def carry_out_run(order: CarryOutOrder, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> Commanded:
    """Make them in their order and as they were shown, once, and nothing else; no model is asked."""
    run = _started_run(snapshot)
    shown = effects_digest(run)
    if run.carried_out_by is not None:
        message = f"the calls of the run {run.id} were applied already, by {run.carried_out_by}"
        raise Refused(409, "already_applied", message, action="the run's result lists what was made")
    if run.state is not State.COMPLETE or shown is None:
        raise Refused(409, "nothing_to_carry_out", f"the run {run.id} has no calls that are only shown")
    if shown != order.digest:
        action = "look again: the run's result says which"
        raise Refused(409, "not_awaited", f"the run {run.id} has shown other calls", action=action)
    return await _send_checked(parts, run, CarryOut, order, caller)


@router.post("/decisions", status_code=202, summary="Answer a run's question")
async def decide_for_run(order: Decision, snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> Commanded:
    """Approve or reject what the run waits for: `request_id` is that of its `waiting_for`."""
    asked = _active_run(snapshot).request
    if asked is None or asked.request_id != order.request_id:
        message = f"the run {snapshot.id} does not wait for a decision {order.request_id}"
        raise Refused(409, "not_awaited", message, action="the run's `waiting_for` says what it waits for")
    if order.digest not in (None, asked.proposal.digest if asked.proposal else None):
        message = f"the run {snapshot.id} waits for a decision about another call"
        raise Refused(409, "not_awaited", message, action="look again: the run's `waiting_for` says about which")
    return await _command(parts, snapshot, HumanDecided, order, caller)


async def _command(parts: Parts, snapshot: RunSnapshot, kind: type[Command], order: Order, caller: Caller) -> Commanded:
    return await _send_checked(parts, _active_run(snapshot), kind, order, caller)


async def _send_checked(parts: Parts, run: Run, kind: type[Command], order: Order, caller: Caller) -> Commanded:
    """Publish the order if the run takes it as it stands. A run that changes meanwhile records a refusal."""
    command = _order(kind, run.id, run.tenant, order, caller)
    if why := refusal_of(run, command):
        raise _refused(run, command, why)
    return await _send(parts, command, caller)


async def _send(parts: Parts, command: Command, caller: Caller) -> Commanded:
    message_id = f"command-{uuid4().hex}"
    await deliver(parts, command, id=message_id, run_id=command.run_id, authenticated=caller.principal is not None)
    return Commanded(run_id=command.run_id, tenant=command.tenant, message_id=message_id)


def _order(kind: type[Command], run_id: str, tenant: str, order: Order, caller: Caller) -> Command:
    whose = {"run_id": run_id, "tenant": tenant, "by": caller.acting_name(order.by)}
    return kind.model_validate(order.model_dump() | whose)


def _refused(run: Run, command: Command, why: str) -> Refused:
    """409: an order that the run would refuse in its present state."""
    action = "GET the run: its state, and its `waiting_for`, say what it takes"
    passing = False
    match command:
        case PauseRun() if run.state is State.PAUSED:
            action = "nothing is to be done: resume the run when it should go on"
        case ResumeRun() if run.state is not State.FAILED:
            action = "only a paused or failed run is resumed; if it was paused a moment ago, send the order again"
            passing = True
        case ResumeRun():
            action = "submit the task again: this run failed before there was a step to go on from"
    message = f"the run {run.id} does not take this order: {why}"
    return Refused(409, "wrong_state", message, retryable=passing, action=action)


def _active_run(snapshot: RunSnapshot) -> Run:
    """The run, if it has not ended."""
    run = _started_run(snapshot)
    if run.state in ENDS:
        raise _run_ended(run)
    return run


def _started_run(snapshot: RunSnapshot) -> Run:
    """The run, if it has begun. A command that overtook the task on its way would find no run."""
    if snapshot.run is None:
        raise Refused(409, "not_started", f"the run {snapshot.id} has not begun yet", retryable=True)
    return snapshot.run


def _run_ended(run: Run) -> Refused:
    return Refused(409, "ended", f"the run {run.id} has ended: {run.state}")
