"""The swarm's agent card: a public one, and one with its agents for callers with a key."""

from importlib.metadata import version

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

from services.gateway.a2a.runs import Runs
from shared.blackboard import known_agents

PATH = "/a2a"
"""Path of both bindings: JSON-RPC itself, HTTP+JSON below it."""

_MODES = ["text/plain", "text/markdown", "application/json", "application/octet-stream"]

_ANYTHING = AgentSkill(
    id="task",
    name="Do a task",
    description="Plans, researches, computes, writes and reviews; asks people before risky steps.",
    tags=["planning", "research", "data", "code", "communication"],
    examples=["Why did orders fail on Monday? Answer with numbers."],
)


def public_card(base: str, *, keys: bool) -> AgentCard:
    """Return the card that everyone may read. `keys`: the gateway requires them."""
    card = AgentCard(
        name="Waggle",
        description="A swarm of specialist agents that works on a task durably.",
        version=version("waggle"),
        supported_interfaces=[
            AgentInterface(url=f"{base}{PATH}", protocol_binding=binding, protocol_version="1.0")
            for binding in ("JSONRPC", "HTTP+JSON")
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False, extended_agent_card=keys),
        default_input_modes=_MODES,
        default_output_modes=_MODES,
        skills=[_ANYTHING],
    )
    if keys:
        scheme = HTTPAuthSecurityScheme(scheme="Bearer", description="A key from `waggle keys new`.")
        card.security_schemes["key"].CopyFrom(SecurityScheme(http_auth_security_scheme=scheme))
        card.security_requirements.append(SecurityRequirement(schemes={"key": StringList()}))
    return card


async def extended_card(runs: Runs, base: str) -> AgentCard:
    """Return the public card with the agents that plans may use as further skills."""
    runs.caller.need("list_agents")
    card = public_card(base, keys=runs.caller.principal is not None)
    for agent in (await known_agents(runs.parts.redis)).values():
        if agent.plannable:
            tags = [tool.name for tool in agent.tools] or [agent.name]
            card.skills.append(AgentSkill(id=agent.name, name=agent.name, description=agent.description, tags=tags))
    return card
