"""`waggle agents` and `waggle tools`: the agents with their health, and their tools with arguments and effects."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from schemas.plan import AgentCard, Risk, ToolCard
from services.cli.exit_codes import CommandError, Exit
from services.cli.session import Session, gateway_command
from services.cli.show.agents import show_agents, show_tool, show_tools
from services.cli.terminal import one_line


@gateway_command
def agents(session: Session) -> None:
    """List the agents with their tools, the tools' risks and effects, and the health of MCP servers and models."""
    found = session.client.agents()
    session.screen.answer(found, lambda: show_agents(session.screen, found))


@gateway_command
def tools(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show everything about this tool.")] = None,
) -> None:
    """List the tools with their risk, effect and origin, and the agents that have them; or one with its arguments."""
    found = tools_of(session.client.agents())
    if name is None:
        session.screen.answer(found, lambda: show_tools(session.screen, found))
        return
    tool = next((each for each in found if each["name"] == name), None)
    if tool is None:
        raise CommandError(f"no agent has a tool {one_line(name)}", "`waggle tools` lists them", code=Exit.USAGE)
    card = ToolCard.model_validate(tool)
    session.screen.answer(tool, lambda: show_tool(session.screen, card, tool["agents"]))


def tools_of(agents: Iterable[AgentCard]) -> list[dict[str, Any]]:
    """Return each tool once, riskiest first, then by name, with its agents."""
    found: dict[str, dict[str, Any]] = {}
    for agent in agents:
        for tool in agent.tools:
            found.setdefault(tool.name, tool.model_dump(mode="json") | {"agents": []})["agents"].append(agent.name)
    risks = list(Risk)
    return sorted(found.values(), key=lambda each: (-risks.index(Risk(each["risk"])), each["name"]))
