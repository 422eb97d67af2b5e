"""Obstacles of the runs in a list: stops of their work in progress, and agents of it that do not run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from schemas.api.runs import LONGEST_OBSTACLE, RunSummary
from schemas.stop import WorkStopped
from shared.blackboard.agents import silent_agents
from shared.blackboard.listing import RunIndex
from shared.runs import ENDS
from shared.service import Parts
from shared.service.kill_switch import StopScope, stop_reason


async def with_obstacles(
    runs: Sequence[RunSummary], tenant: str, parts: Parts, stops: Iterable[WorkStopped]
) -> list[RunSummary]:
    """Return the runs of the tenant, with what holds up those that have not ended. Reads no record of a run."""
    live = [run.run_id for run in runs if run.state not in ENDS]
    awaited = await RunIndex(parts.sentinel).awaited_agents(tenant, live)
    agents = {agent for each in awaited.values() for agent in each}
    silent = await silent_agents(parts.redis, agents) if agents else {}
    stopped = {each.scope: each for each in stops}
    found = {id: _text(_obstacles(tenant, id, each, stopped, silent)) for id, each in awaited.items()}
    return [run.model_copy(update={"held_up": found[run.run_id]}) if found.get(run.run_id) else run for run in runs]


def _obstacles(
    tenant: str,
    run_id: str,
    agents: Sequence[str],
    stopped: Mapping[str, WorkStopped],
    silent: Mapping[str, float | None],
) -> Iterator[str]:
    """Yield the stops of a run's work in progress, once each, then the agents of it that are silent."""
    own = {scope: stop for scope, stop in stopped.items() if scope == f"run:{run_id}"}
    reasons = [stop_reason(stopped, StopScope(tenant, agent, run_id)) for agent in agents]
    reasons = reasons or [stop_reason(own, StopScope(tenant, "", run_id))]
    yield from dict.fromkeys(reason for reason in reasons if reason)
    for agent in agents:
        if agent in silent:
            seconds = silent[agent]
            seen = "" if seconds is None else f": last seen {seconds:.0f} s ago"
            yield f"{agent} does not seem to be running{seen}"


def _text(obstacles: Iterable[str]) -> str:
    text = "; ".join(obstacles)
    return text if len(text) <= LONGEST_OBSTACLE else f"{text[: LONGEST_OBSTACLE - 1]}…"
