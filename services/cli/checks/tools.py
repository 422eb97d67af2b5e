"""Check that operators' files on tools and agents are valid, and name existing ones."""

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from schemas.plan import AgentCard
from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared import blackboard
from shared.access.tenants import read_tenants
from shared.authorization import read_gate
from shared.blackboard import Sentinel, known_agents
from shared.config import Settings
from shared.errors import Misconfigured


class Named(NamedTuple):
    """A tool or agent named in a file."""

    file: str
    kind: str
    """`tool` or `agent`."""
    name: str


async def check_tools(settings: Settings) -> list[CheckResult]:
    """Return one result per name in a file; none if no file is set."""
    try:
        named = sorted(
            {*_limited(settings), *_judged(settings), *_permitted(settings), *_served(settings), *_elsewhere()}
        )
    except Misconfigured as invalid:
        return [fail("tools", str(invalid), "correct the file; docs/configuration.md links to its description")]
    agents = await _agents(settings) if named else {}
    there = {"agent": set(agents), "tool": {tool.name for agent in agents.values() for tool in agent.tools}}
    return [_entry(each, there[each.kind]) for each in named]


def _limited(settings: Settings) -> Iterator[Named]:
    from shared.tools.runtime import limits_in  # noqa: PLC0415 -- slow to import

    yield from _all("WAGGLE_TOOLS", "tool", limits_in(settings.tools))


def _judged(settings: Settings) -> Iterator[Named]:
    yield from _all("WAGGLE_GATE", "tool", read_gate(settings.gate).tools)


def _permitted(settings: Settings) -> Iterator[Named]:
    tenants = read_tenants(settings.tenants)
    for terms in [*tenants.tiers.values(), *tenants.tenants.values()] if tenants else []:
        yield from _all("WAGGLE_TENANTS", "tool", terms.tools or ())
        yield from _all("WAGGLE_TENANTS", "agent", terms.agents or ())


def _served(settings: Settings) -> Iterator[Named]:
    from shared.mcp.declare import EVERYONE, declared_servers  # noqa: PLC0415 -- as above

    for server in declared_servers(settings.mcp).values() if settings.mcp else []:
        yield from _all("WAGGLE_MCP", "agent", set(server.agents) - {EVERYONE})


def _elsewhere() -> Iterator[Named]:
    from shared.a2a import declared_remotes  # noqa: PLC0415 -- as above

    path = os.environ.get("WAGGLE_REMOTES", "").strip()
    yield from _all("WAGGLE_REMOTES", "agent", declared_remotes(Path(path)) if path else ())


def _all(file: str, kind: str, names: Iterable[str]) -> Iterator[Named]:
    return (Named(file, kind, name) for name in names)


async def _agents(settings: Settings) -> dict[str, AgentCard]:
    """Return the known agents; none while Redis is unavailable, which another check reports."""
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    try:
        return dict(await known_agents(sentinel.own))
    except blackboard.OUTAGES:
        return {}
    finally:
        await sentinel.close()


def _entry(named: Named, there: set[str]) -> CheckResult:
    file, kind, name = named
    if name in there:
        return ok("tools", f"{file} names the {kind} {name}")
    near = get_close_matches(name, there, n=1)
    do = f"did you mean {near[0]}?" if near else "`waggle agents` lists the agents that have started, with their tools"
    missing = "which no agent has" if kind == "tool" else "which has never started"
    return warn("tools", f"{file} names the {kind} {name}, {missing}", do)
