"""Whether the file with the limits of tools can be used, and names tools that there are."""

from difflib import get_close_matches

from services.console.checks.finding import Finding, fail, ok, warn
from shared import blackboard
from shared.blackboard import Sentinel, known_agents
from shared.errors import Misconfigured
from shared.settings import Settings


async def check_tools(settings: Settings) -> list[Finding]:
    """Nothing where no file is set."""
    from shared.dependable import limits_in  # noqa: PLC0415 -- takes a moment, and only `doctor` needs it

    try:
        limited = limits_in(settings.tools)
    except Misconfigured as wrong:
        return [fail("tools", str(wrong), "docs/tools.md says what the file takes")]
    there = await _tools(settings) if limited else set()
    return [_entry(name, there) for name in sorted(limited)]


async def _tools(settings: Settings) -> set[str]:
    """The tools of all agents that are known; none while Redis is away, which is said elsewhere."""
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    try:
        agents = await known_agents(sentinel.own)
    except blackboard.OUTAGES:
        return set()
    finally:
        await sentinel.close()
    return {tool.name for agent in agents.values() for tool in agent.tools}


def _entry(name: str, there: set[str]) -> Finding:
    if name in there:
        return ok("tools", f"WAGGLE_TOOLS limits {name}")
    near = get_close_matches(name, there, n=1)
    do = f"is {near[0]} meant?" if near else "`waggle agents` lists those there are, of the agents that have started"
    return warn("tools", f"WAGGLE_TOOLS limits {name}, which no agent has", do)
