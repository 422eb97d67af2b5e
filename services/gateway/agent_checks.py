"""Checks of models and MCP servers by the reports of the agents that use them: the gateway has none of their keys."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from schemas.api.checks import Check
from schemas.health import AgentHealth, ModelHealth, ServerHealth

_LOG = "look at its command or address in WAGGLE_MCP, and for `mcp_server_unavailable` in the agents' logs"
_SEVERITY = {"ok": 0, "warn": 1, "fail": 2}


def checks_of_reports(reports: Mapping[str, Sequence[AgentHealth]], known: int) -> list[Check]:
    """Return one check per model and per MCP server; a warning if none of the `known` agents reports."""
    models = defaultdict[tuple[str, str], list[tuple[str, ModelHealth]]](list)
    servers = defaultdict[str, list[tuple[str, ServerHealth]]](list)
    for report in (each for replicas in reports.values() for each in replicas):
        for model in report.models:
            models[model.model, model.endpoint].append((report.agent, model))
        for server in report.servers:
            servers[server.name].append((report.agent, server))
    found = [_model(name, seen) for (name, _), seen in sorted(models.items())]
    return [*(found or _unreported(known)), *(_server(name, seen) for name, seen in sorted(servers.items()))]


def _unreported(known: int) -> list[Check]:
    if not known:
        return []
    action = "wait some seconds after the start of the agents; older versions of them report nothing"
    return [Check(subject="models", verdict="warn", found="no running agent has reported a check", action=action)]


def _model(name: str, seen: Sequence[tuple[str, ModelHealth]]) -> Check:
    worst = max((each for _, each in seen), key=lambda each: (_SEVERITY[each.verdict], each.seconds))
    agents = _names(agent for agent, each in seen if each.verdict == worst.verdict)
    called = f"{name} ({worst.endpoint})" if worst.endpoint else name
    return Check(
        subject=f"model {called}",
        verdict=worst.verdict,
        found=f"{worst.found}, as {agents} found at {_time(worst.at)}",
        action=worst.action,
        seconds=worst.seconds,
    )


def _server(name: str, seen: Sequence[tuple[str, ServerHealth]]) -> Check:
    lost = [(agent, each) for agent, each in seen if not each.connected]
    if not lost:
        agents, tools = _names(agent for agent, _ in seen), max(each.tools for _, each in seen)
        return Check(subject=f"MCP server {name}", verdict="ok", found=f"connected to {agents}, with {tools} tools")
    since = min((each.since for _, each in lost if each.since), default=None)
    when = f" since {_time(since)}" if since else ""
    why = next((each.error for _, each in lost if each.error), "it has not been tried yet")
    found = f"unreachable for {_names(agent for agent, _ in lost)}{when}: {why}"
    verdict = "fail" if len(lost) == len(seen) else "warn"
    return Check.model_validate({"subject": f"MCP server {name}", "verdict": verdict, "found": found, "action": _LOG})


def _names(agents: Iterable[str]) -> str:
    return ", ".join(sorted(set(agents)))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"
