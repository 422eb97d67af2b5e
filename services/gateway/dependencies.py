"""What routes are given: the service's parts, whose request it is, and the run it is about."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPBearer

from schemas.message import Id, Instant, Part, Slug
from services.gateway.access import CALLER, Caller
from services.gateway.errors import unknown_run
from shared.blackboard import keys
from shared.config import Settings
from shared.runs import Run
from shared.service import Parts
from shared.service.kill_switch import KillSwitch

DEFAULT_TENANT = "default"

_BEARER = HTTPBearer(auto_error=False, description="A key of `waggle keys new`, where the gateway asks for one.")
"""Only described here: keys are looked at before a request is read."""


def parts_of(request: Request) -> Parts:
    """What the service is made of."""
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(parts_of)]
GivenTenant = Annotated[Slug | None, Query(alias="tenant", description="Whose it is; `default` unless given.")]
RunId = Annotated[Id, Path(description="The run, as `POST /v1/tasks` named it.")]


def caller_of(request: Request) -> Caller:
    """Who asks."""
    caller: Caller = request.scope[CALLER]
    return caller


CallerDep = Annotated[Caller, Depends(caller_of)]


def authorize(request: Request, caller: CallerDep, key: Annotated[object, Security(_BEARER)]) -> None:
    """Part of every route: the caller has a role that it takes. 403 otherwise, and for a route without an entry."""
    caller.need(request.scope["route"].name)


def tenant_of(caller: CallerDep, tenant: GivenTenant = None) -> str:
    """Whose request it is. 403 when the caller may not act for that tenant."""
    return caller.act_for(tenant or DEFAULT_TENANT)


Tenant = Annotated[str, Depends(tenant_of)]


class PendingTask(Part):
    """What is known of a task that was accepted here and has no run yet."""

    task_id: str
    objective: str
    at: Instant

    @classmethod
    def of(cls, task_id: str, objective: str) -> Self:
        """The mark of a task accepted now."""
        return cls(task_id=task_id, objective=objective, at=datetime.now(UTC))


class RunSnapshot(Part):
    """A run, or, before it has begun, the mark of its task."""

    id: str
    tenant: str
    run: Run | None
    version: int
    pending: PendingTask | None


async def snapshot_of(run_id: RunId, tenant: Tenant, parts: PartsDep) -> RunSnapshot:
    """Where the run stands. 404 when there is neither a run nor a task on its way."""
    run, version, _ = await parts.runs.load(tenant, run_id)
    pending = None if run else await pending_task(parts, tenant, run_id)
    if run is None and pending is None:
        raise unknown_run(run_id)
    return RunSnapshot(id=run_id, tenant=tenant, run=run, version=version, pending=pending)


async def pending_task(parts: Parts, tenant: str, run_id: str) -> PendingTask | None:
    """The mark of a task on its way, if there is one."""
    value = await parts.redis.get(keys.submitted(tenant, run_id))
    return PendingTask.model_validate_json(value) if value else None


SnapshotDep = Annotated[RunSnapshot, Depends(snapshot_of)]


def stops_of(request: Request) -> KillSwitch:
    """What is stopped."""
    stops: KillSwitch = request.app.state.stops
    return stops


StopsDep = Annotated[KillSwitch, Depends(stops_of)]


def settings_of(parts: PartsDep) -> Settings:
    """The service's settings."""
    return parts.settings


SettingsDep = Annotated[Settings, Depends(settings_of)]
