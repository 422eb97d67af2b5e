"""The kill switch: operators stop agents' work, and let it go on."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from schemas.message import Part
from schemas.stop import SCOPE, WorkStopped
from services.gateway.dependencies import CallerDep, PartsDep, StopsDep
from services.gateway.errors import error_responses, unavailable
from services.gateway.publishing import clear, deliver
from services.gateway.routes.commands import ReasonedOrder
from shared.access.principals import EVERY
from shared.service.kill_switch import TOPIC, KillSwitch

router = APIRouter(prefix="/v1/stops", tags=["stops"], responses=error_responses())

WITHIN = 5.0
"""Seconds Kafka has to say what is stopped."""

GivenScope = Annotated[
    str, Path(pattern=SCOPE, max_length=200, description="`all`, `tenant:NAME`, `agent:NAME`, `run:ID`.")
]


def scope_of(scope: GivenScope, caller: CallerDep) -> str:
    """What is meant. 403 for a tenant that is not the caller's, and for what concerns more than one tenant."""
    kind, _, name = scope.partition(":")
    caller.act_for(name if kind == "tenant" else EVERY)
    return scope


ScopeDep = Annotated[str, Depends(scope_of)]


class StopOrder(ReasonedOrder):
    """Who wants it stopped, and why."""


class Started(Part):
    """What may go on."""

    scope: str
    was: WorkStopped | None = Field(description="Who had stopped it and why, if it was known to be stopped.")


@router.get("", summary="List what is stopped")
async def list_stops(stops: StopsDep) -> list[WorkStopped]:
    """Everything that operators have stopped and not started again."""
    return sorted(await _known(stops), key=lambda stop: stop.scope)


@router.put("/{scope}", status_code=202, summary="Stop something")
async def stop(scope: ScopeDep, order: StopOrder, parts: PartsDep, caller: CallerDep) -> WorkStopped:
    """Let agents call no model and no tool for it any more: calls under way are cancelled where they can be."""
    stopped = WorkStopped(scope=scope, by=caller.acting_name(order.by), reason=order.reason, at=datetime.now(UTC))
    await deliver(parts, stopped, id=f"stop-{uuid4().hex}", run_id=scope)
    return stopped


@router.delete("/{scope}", status_code=202, summary="Let it go on")
async def start(scope: ScopeDep, parts: PartsDep, stops: StopsDep) -> Started:
    """What waited goes on where it stood."""
    was = next((each for each in await _known(stops) if each.scope == scope), None)
    await clear(parts, TOPIC, scope)
    return Started(scope=scope, was=was)


async def _known(stops: KillSwitch) -> list[WorkStopped]:
    try:
        async with asyncio.timeout(WITHIN):
            await stops.wait_loaded()
    except TimeoutError:
        raise unavailable("kafka_unavailable", "Kafka has not said yet what is stopped") from None
    return list(stops)
