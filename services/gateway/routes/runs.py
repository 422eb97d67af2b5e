"""Reading runs, following them live, and commanding them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from schemas.approval import CancelRun, HumanDecided, PauseRun, ResumeRun
from schemas.event import Moved, State
from schemas.task import Result
from services.gateway.doors import Doors, Opened, Tenant
from services.gateway.errors import Refusal, not_found
from services.gateway.views import RunLine, RunList, RunView
from shared.blackboard import Journal, LiveEvent, follow
from shared.runs import ENDS
from shared.runs.result import result_of

router = APIRouter(prefix="/v1/runs")
By = Annotated[str, Field(min_length=1, max_length=200, description="Who it is.")]


class Reasoned(BaseModel):
    """A command with its reason."""

    by: By
    reason: str = Field(min_length=1, max_length=2_000)


class Signed(BaseModel):
    """A command that needs no reason."""

    by: By


class Decided(BaseModel):
    """The answer to what a run waits for."""

    by: By
    request_id: str
    decision: Literal["approve", "reject"]
    answer: str = Field("", max_length=20_000)


class Taken(BaseModel):
    """The command is safe in Kafka; what it leads to shows in the run."""

    run_id: str


class JournalView(BaseModel):
    """What was done for a handoff: the exact prompts, replies and tool results, by name."""

    entries: dict[str, Any]


@router.get("", summary="List runs")
async def list_runs(
    opened: Opened,
    tenant: Tenant = "default",
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> RunList:
    """The tenant's runs, newest first."""
    found = await opened.parts.runs.latest(tenant, limit, offset)
    lines = [RunLine.of(run) for run in found if state in (None, run.state)]
    return RunList(runs=lines, next_offset=offset + limit if len(found) == limit else None)


@router.get("/{run_id}", summary="Read a run")
async def read_run(run_id: str, opened: Opened, tenant: Tenant = "default") -> RunView:
    """The run as it stands."""
    run, version = await opened.parts.runs.load(tenant, run_id)
    if run is not None:
        return RunView.of(run, version)
    if await opened.is_submitted(tenant, run_id):
        return RunView.submitted(run_id, tenant)
    raise not_found(f"run {run_id}")


@router.get("/{run_id}/result", summary="Read a result")
async def read_result(run_id: str, opened: Opened, tenant: Tenant = "default") -> Result:
    """The result of a run that has ended; 409 while it runs."""
    run, _ = await opened.parts.runs.load(tenant, run_id)
    if run is None and not await opened.is_submitted(tenant, run_id):
        raise not_found(f"run {run_id}")
    if run is None or run.state not in ENDS:
        where = run.state if run else State.INTAKE
        raise Refusal(409, "not_finished", f"the run is {where}", action="follow its events until it ends")
    return result_of(run)


@router.get("/{run_id}/events", summary="Follow a run", response_class=StreamingResponse)
async def events(
    run_id: str,
    opened: Opened,
    tenant: Tenant = "default",
    last_event_id: Annotated[str, Header(pattern=r"^\d+(-\d+)?$")] = "0",
) -> StreamingResponse:
    """Server-sent events, from the first or after `Last-Event-ID`, until the run has ended."""
    if await opened.parts.runs.state(tenant, run_id) is None and not await opened.is_submitted(tenant, run_id):
        raise not_found(f"run {run_id}")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = _stream(opened, tenant, run_id, last_event_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(opened: Doors, tenant: str, run_id: str, after: str) -> AsyncIterator[str]:
    async for event in follow(opened.parts.redis, tenant, run_id, after):
        if event is None:
            yield ": still here\n\n"
            if after != "0" and await opened.parts.runs.state(tenant, run_id) in ENDS:
                return
            continue
        yield f"id: {event.id}\nevent: {event.type}\ndata: {event.json}\n\n"
        if _ends(event):
            return


def _ends(event: LiveEvent) -> bool:
    return event.type == Moved.wire_type() and event.data["target"] in ENDS


@router.post("/{run_id}/cancel", status_code=202, summary="Cancel a run")
async def cancel(run_id: str, body: Reasoned, opened: Opened, tenant: Tenant = "default") -> Taken:
    """End the run; what is in flight is thrown away."""
    await opened.command(CancelRun(run_id=run_id, tenant=tenant, by=body.by, reason=body.reason))
    return Taken(run_id=run_id)


@router.post("/{run_id}/pause", status_code=202, summary="Pause a run")
async def pause(run_id: str, body: Reasoned, opened: Opened, tenant: Tenant = "default") -> Taken:
    """Hand out nothing more until the run is resumed."""
    await opened.command(PauseRun(run_id=run_id, tenant=tenant, by=body.by, reason=body.reason))
    return Taken(run_id=run_id)


@router.post("/{run_id}/resume", status_code=202, summary="Resume a run")
async def resume(run_id: str, body: Signed, opened: Opened, tenant: Tenant = "default") -> Taken:
    """Go on from where the run was paused."""
    await opened.command(ResumeRun(run_id=run_id, tenant=tenant, by=body.by))
    return Taken(run_id=run_id)


@router.post("/{run_id}/decisions", status_code=202, summary="Decide what a run waits for")
async def decide(run_id: str, body: Decided, opened: Opened, tenant: Tenant = "default") -> Taken:
    """Approve or reject. A decision counts once."""
    await opened.command(HumanDecided(run_id=run_id, tenant=tenant, **body.model_dump()))
    return Taken(run_id=run_id)


@router.get("/{run_id}/journal", summary="Read a handoff's journal")
async def journal(run_id: str, handoff_id: str, opened: Opened, tenant: Tenant = "default") -> JournalView:
    """The exact prompts, replies and tool results of one handoff."""
    kept = await Journal(opened.parts.redis, tenant, handoff_id, 1).open()
    if not handoff_id.startswith(f"{run_id}/") or not kept.entries():
        raise not_found(f"handoff {handoff_id} of run {run_id}")
    return JournalView(entries=kept.entries())
