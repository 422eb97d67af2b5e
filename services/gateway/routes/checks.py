"""Routes for an overview: counts of runs, and checks of the swarm."""

from fastapi import APIRouter

from schemas.api.checks import Check, RunCounts
from schemas.event import State
from services.gateway.checks import checks_of
from services.gateway.dependencies import PartsDep, StopsDep, SweepDep, Tenant
from services.gateway.errors import error_responses
from shared.blackboard.listing import RunIndex

router = APIRouter(responses=error_responses())


@router.get("/v1/counts", summary="Count runs by state", tags=["runs"])
async def count_runs(tenant: Tenant, parts: PartsDep, sweep: SweepDep) -> RunCounts:
    """Number of the tenant's runs in each state, from the index."""
    complete = await sweep.ask(tenant)
    index = RunIndex(parts.sentinel)
    await index.forget_expired(tenant)
    return RunCounts(states=await index.count_by_state(tenant, list(State)), indexing=not complete)


@router.get("/v1/checks", summary="Check the swarm", tags=["swarm"])
async def check_swarm(parts: PartsDep, stops: StopsDep) -> list[Check]:
    """Redis, Kafka, the archive, consumer groups, agents, stops and access, as this gateway sees them.

    It has no key of a model: models and MCP servers are shown as the agents report them, which check them every few
    minutes at no cost.
    """
    return await checks_of(parts, list(stops))
