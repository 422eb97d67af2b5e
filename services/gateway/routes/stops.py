"""Routes of the kill switch: stop and resume the work of agents."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Path

from schemas.api.commands import ReasonedRequest, Released
from schemas.stop import SCOPE, WorkStopped
from services.gateway.dependencies import CallerDep, PartsDep, StopsDep
from services.gateway.errors import error_responses, unavailable
from services.gateway.publishing import clear, deliver
from shared.access.principals import EVERY
from shared.service.kill_switch import TOPIC, KillSwitch

router = APIRouter(prefix="/v1/stops", tags=["stops"], responses=error_responses())

WITHIN = 5.0
"""Seconds for the stops to be read from Kafka."""

GivenScope = Annotated[
    str, Path(pattern=SCOPE, max_length=200, description="`all`, `tenant:NAME`, `agent:NAME`, `run:ID`.")
]


def scope_of(scope: GivenScope, caller: CallerDep) -> str:
    """Return the scope. Raises Refused 403 for another tenant's, and for a scope that spans tenants."""
    kind, _, name = scope.partition(":")
    caller.act_for(name if kind == "tenant" else EVERY)
    return scope


ScopeDep = Annotated[str, Depends(scope_of)]


@router.get("", summary="List stops")
async def list_stops(stops: StopsDep) -> list[WorkStopped]:
    """All stops in force."""
    return sorted(await _loaded(stops), key=lambda stop: stop.scope)


@router.put("/{scope}", status_code=202, summary="Stop work in a scope")
async def stop(scope: ScopeDep, order: ReasonedRequest, parts: PartsDep, caller: CallerDep) -> WorkStopped:
    """Stop all model and tool calls in the scope; calls in flight are cancelled if possible."""
    stopped = WorkStopped(scope=scope, by=caller.acting_name(order.by), reason=order.reason, at=datetime.now(UTC))
    await deliver(parts, stopped, id=f"stop-{uuid4().hex}", run_id=scope)
    return stopped


@router.delete("/{scope}", status_code=202, summary="Resume work in a scope")
async def start(scope: ScopeDep, parts: PartsDep, stops: StopsDep) -> Released:
    """Lift the stop; parked work resumes where it was."""
    was = next((each for each in await _loaded(stops) if each.scope == scope), None)
    await clear(parts, TOPIC, scope)
    return Released(scope=scope, was=was)


async def _loaded(stops: KillSwitch) -> list[WorkStopped]:
    try:
        async with asyncio.timeout(WITHIN):
            await stops.wait_loaded()
    except TimeoutError:
        raise unavailable("kafka_unavailable", "the stops have not been read from Kafka yet") from None
    return list(stops)
