"""Agents, tools and their health, printed for a person. Text of tools may be that of an MCP server: it is cleaned."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from schemas.api.agents import AgentView
from schemas.arguments import arguments_in
from schemas.health import ModelHealth, ServerHealth
from schemas.plan import ArgumentSchema, ToolCard
from services.cli.show.render import heading, plain_table
from services.cli.terminal import Screen, one_line

_NONE = "No agent has started yet. Start the swarm with: waggle up"
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}
_LONGEST_BOUNDS = 60


def show_agents(screen: Screen, agents: Sequence[AgentView]) -> None:
    """Print the agents with their tools, and the health of their MCP servers and models, replica by replica."""
    for agent in agents:
        screen.say(f"{one_line(agent.name)}: {one_line(agent.description)}", style="bold")
        if not agent.running:
            seen = f": last seen {_time(agent.seen)}" if agent.seen else ""
            screen.say(Text(f"  not running{seen}; its work waits for it", "red"))
        for tool in agent.tools:
            kind = f"{tool.risk.value} risk" + (f", {tool.effect.value}" if tool.effect else "")
            screen.say(f"  {one_line(tool.name)} ({kind}): {one_line(tool.description, 100)}")
        for replica in agent.replicas:
            for server in replica.servers:
                screen.say(Text(f"  {server_line(server)}{_of(replica.replica, agent)}", _STYLES[_level(server)]))
            for model in replica.models:
                screen.say(Text(f"  {_model_line(model)}{_of(replica.replica, agent)}", _STYLES[model.verdict]))
    if not agents:
        screen.say(_NONE)


def _of(replica: str, agent: AgentView) -> str:
    return f" [replica {one_line(replica)}]" if len(agent.replicas) > 1 else ""


def _level(server: ServerHealth) -> str:
    return "ok" if server.connected else "fail"


def server_line(server: ServerHealth) -> str:
    """Return the state of an MCP server on one line."""
    name, since = one_line(server.name), f" since {_time(server.since)}" if server.since else ""
    if server.connected:
        before = f"; lost before, at {_time(server.error_at)}: {one_line(server.error)}" if server.error_at else ""
        return f"MCP server {name}: connected{since}, {server.tools} tools{before}"
    why = one_line(server.error) or "it has not been tried yet"
    return f"MCP server {name}: unreachable{since}: {why}"


def _model_line(model: ModelHealth) -> str:
    name = f"{model.model} ({model.endpoint})" if model.endpoint else model.model
    when = f"{model.seconds * 1000:.0f} ms, at {_time(model.at)}"
    return f"model {one_line(name)}: {one_line(model.found)} ({when})"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def show_tools(screen: Screen, tools: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of tools with their risks, effects and agents."""
    table = plain_table("tool", "risk", "effect", "origin", "agents", "description", right=99)
    for tool in tools:
        agents = ", ".join(map(one_line, tool["agents"]))
        origin = one_line(tool["source"] or "built in")
        effect = tool["effect"] or "unknown"
        table.add_row(one_line(tool["name"]), tool["risk"], effect, origin, agents, one_line(tool["description"], 60))
    screen.say(table if tools else _NONE)


def show_tool(screen: Screen, tool: ToolCard, agents: Iterable[str]) -> None:
    """Print everything about one tool, with its arguments as a table."""
    screen.say(Text(one_line(tool.name), style="bold"))
    screen.say(one_line(tool.description))
    for name, value in _facts(tool):
        screen.say(f"  {name:<8} {value}")
    screen.say(f"  {'agents':<8} {', '.join(map(one_line, agents))}")
    heading(screen, "Arguments")
    show_arguments(screen, tool.arguments)


def _facts(tool: ToolCard) -> list[tuple[str, str]]:
    effect = f"{tool.effect.value}: {tool.effect.reversibility}" if tool.effect else "not announced"
    scope = one_line(tool.scope.in_words) if tool.scope else "not announced"
    return [
        ("risk", tool.risk.value),
        ("effect", effect),
        ("scope", scope),
        ("origin", one_line(tool.source or "built in")),
    ]


def show_arguments(screen: Screen, schema: ArgumentSchema | None) -> None:
    """Print the arguments of a tool by name, type and bounds, and what was cut."""
    rows = arguments_in(schema.content) if schema else []
    table = plain_table("argument", "type", "required", "bounds", "description", right=99)
    for row in rows:
        required, bounds = "yes" if row.required else "no", one_line(row.bounds, _LONGEST_BOUNDS)
        table.add_row(one_line(row.name), one_line(row.type), required, bounds, one_line(row.description))
    screen.say(table if rows else "  none" if schema else "  not announced: an agent of an earlier version")
    if schema and (note := schema.note):
        screen.say(f"  {note}", style="yellow")
