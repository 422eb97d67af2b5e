"""Dependencies of routes: the service's parts, the caller, the tenant, and the run of the request."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPBearer

from schemas.message import Id, Instant, Part, Slug
from schemas.task import Task
from services.gateway.access import CALLER, Caller
from services.gateway.errors import unknown_run
from shared.blackboard import keys
from shared.blackboard.sweep import IndexSweep
from shared.config import Settings
from shared.runs import Run
from shared.service import Parts
from shared.service.kill_switch import KillSwitch

DEFAULT_TENANT = "default"

_BEARER = HTTPBearer(auto_error=False, description="A key from `waggle keys new`, if the gateway requires one.")
"""Documents the scheme only: keys are checked before a request is read."""


def parts_of(request: Request) -> Parts:
    """Return the parts of the service."""
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(parts_of)]
GivenTenant = Annotated[Slug | None, Query(alias="tenant", description="Tenant; the default is `default`.")]
RunId = Annotated[Id, Path(description="The run, as `POST /v1/tasks` named it.")]


def caller_of(request: Request) -> Caller:
    """Return the caller."""
    caller: Caller = request.scope[CALLER]
    return caller


CallerDep = Annotated[Caller, Depends(caller_of)]


def authorize(request: Request, caller: CallerDep, key: Annotated[object, Security(_BEARER)]) -> None:
    """Check the caller's role on every route. 403 without it, and for a route without an entry."""
    caller.need(request.scope["route"].name)


def tenant_of(caller: CallerDep, tenant: GivenTenant = None) -> str:
    """Return the tenant of the request. 403 if the caller may not act for it."""
    return caller.act_for(tenant or DEFAULT_TENANT)


Tenant = Annotated[str, Depends(tenant_of)]


class PendingTask(Part):
    """A task accepted here that has no run yet."""

    task_id: str
    objective: str
    at: Instant
    session: str | None = None
    key: str | None = None
    """Idempotency key."""

    @classmethod
    def accepted(cls, task_id: str, task: Task) -> Self:
        """Return a task accepted at this moment."""
        own = {"objective": task.objective, "session": task.session, "key": task.idempotency_key}
        return cls(task_id=task_id, at=datetime.now(UTC), **own)


class RunSnapshot(Part):
    """A run, or its pending task before the run starts."""

    id: str
    tenant: str
    run: Run | None
    version: int
    pending: PendingTask | None


async def snapshot_of(run_id: RunId, tenant: Tenant, parts: PartsDep) -> RunSnapshot:
    """Return the present state of the run. 404 if there is neither a run nor a pending task."""
    run, version, _ = await parts.runs.load(tenant, run_id)
    pending = None if run else await pending_task(parts, tenant, run_id)
    if run is None and pending is None:
        raise unknown_run(run_id)
    return RunSnapshot(id=run_id, tenant=tenant, run=run, version=version, pending=pending)


async def pending_task(parts: Parts, tenant: str, run_id: str) -> PendingTask | None:
    """Return the pending task of a run that has not started."""
    value = await parts.redis.get(keys.submitted(tenant, run_id))
    return PendingTask.model_validate_json(value) if value else None


SnapshotDep = Annotated[RunSnapshot, Depends(snapshot_of)]


def stops_of(request: Request) -> KillSwitch:
    """Return the kill switch with its stops."""
    stops: KillSwitch = request.app.state.stops
    return stops


StopsDep = Annotated[KillSwitch, Depends(stops_of)]


def sweep_of(request: Request) -> IndexSweep:
    """Return the sweeps of the index of runs."""
    sweep: IndexSweep = request.app.state.sweep
    return sweep


SweepDep = Annotated[IndexSweep, Depends(sweep_of)]


def settings_of(parts: PartsDep) -> Settings:
    """Return the settings of the service."""
    return parts.settings


SettingsDep = Annotated[Settings, Depends(settings_of)]
