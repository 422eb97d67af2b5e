"""What routes are given: the service's parts, whose request it is, and the run it is about."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPBearer

from schemas.message import Id, Instant, Part, Slug
from services.gateway.access import CALLER, Caller
from services.gateway.failures import unknown_run
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


PartsOf = Annotated[Parts, Depends(parts_of)]
GivenTenant = Annotated[Slug | None, Query(alias="tenant", description="Whose it is; `default` unless given.")]
RunId = Annotated[Id, Path(description="The run, as `POST /v1/tasks` named it.")]


def caller_of(request: Request) -> Caller:
    """Who asks."""
    caller: Caller = request.scope[CALLER]
    return caller


CallerOf = Annotated[Caller, Depends(caller_of)]


def authorize(request: Request, caller: CallerOf, key: Annotated[object, Security(_BEARER)]) -> None:
    """Part of every route: the caller has a role that it takes. 403 otherwise, and for a route without an entry."""
    caller.need(request.scope["route"].name)


def tenant_of(caller: CallerOf, tenant: GivenTenant = None) -> str:
    """Whose request it is. 403 when the caller may not act for that tenant."""
    return caller.act_for(tenant or DEFAULT_TENANT)


Tenant = Annotated[str, Depends(tenant_of)]


class Mark(Part):
    """What is known of a task that was accepted here and has no run yet."""

    task_id: str
    objective: str
    at: Instant

    @classmethod
    def of(cls, task_id: str, objective: str) -> Self:
        """The mark of a task accepted now."""
        return cls(task_id=task_id, objective=objective, at=datetime.now(UTC))


class Standing(Part):
    """A run, or, before it has begun, the mark of its task."""

    id: str
    tenant: str
    run: Run | None
    version: int
    mark: Mark | None


async def standing_of(run_id: RunId, tenant: Tenant, parts: PartsOf) -> Standing:
    """Where the run stands. 404 when there is neither a run nor a task on its way."""
    run, version, _ = await parts.runs.load(tenant, run_id)
    mark = None if run else await mark_of(parts, tenant, run_id)
    if run is None and mark is None:
        raise unknown_run(run_id)
    return Standing(id=run_id, tenant=tenant, run=run, version=version, mark=mark)


async def mark_of(parts: Parts, tenant: str, run_id: str) -> Mark | None:
    """The mark of a task on its way, if there is one."""
    value = await parts.redis.get(keys.submitted(tenant, run_id))
    return Mark.model_validate_json(value) if value else None


StandingOf = Annotated[Standing, Depends(standing_of)]


def stops_of(request: Request) -> KillSwitch:
    """What is stopped."""
    stops: KillSwitch = request.app.state.stops
    return stops


StopsOf = Annotated[KillSwitch, Depends(stops_of)]


def settings_of(parts: PartsOf) -> Settings:
    """The service's settings."""
    return parts.settings


SettingsOf = Annotated[Settings, Depends(settings_of)]
