"""The MCP client of Waggle's agents, as the conformance suite starts it: `mcp_client.py URL`.

It connects to the server, and calls the tools that the scenario names, else every tool that an agent would be offered.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from shared.mcp import Servers, servers_for
from shared.telemetry.metrics import Metrics
from shared.tools import Tool, ToolContext, ToolError

EXAMPLES = {"integer": 5, "number": 3, "string": "bees", "boolean": True, "array": [], "object": {}}


async def main(url: str) -> None:
    """Use the server once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "servers.toml")
        file.write_text(f'[servers.suite]\nurl = "{url}"\nagents = ["*"]\n')
        metrics = Metrics(CollectorRegistry())
        servers = Servers(servers_for("calc", file, {}), most=40, metrics=metrics, changed=lambda tools: None)
        keeping = asyncio.create_task(servers.keep())
        try:
            await asyncio.wait_for(servers.settled(), 10)
            for name, arguments in _wanted(servers.tools):
                await _call(servers, name, arguments)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping], timeout=10)


def _wanted(tools: list[Tool]) -> list[tuple[str, dict[str, Any]]]:
    named = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
    if named:
        return [(f"suite__{each['name']}", each["arguments"]) for each in named]
    return [(tool.name, _arguments(tool.schema) | _echoed(tool, tools)) for tool in tools]


def _echoed(tool: Tool, tools: list[Tool]) -> dict[str, Any]:
    """The schema that a scenario wants to see again, as agents see it."""
    shown = {each.name: each.schema for each in tools}.get("suite__json_schema_2020_12_tool", {})
    return {"schema": shown} if tool.name == "suite__json_schema_echo" else {}


def _arguments(schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments that fit a plain schema."""
    required = schema.get("required", [])
    return {
        name: EXAMPLES.get(each.get("type"), "bees")
        for name, each in schema.get("properties", {}).items()
        if name in required
    }


async def _call(servers: Servers, name: str, arguments: dict[str, Any]) -> None:
    """Call a tool; if its schema does not take the arguments, again without those that are null, as a model would."""
    call = ToolContext("run-1", "step", f"call-{name}", f"key-{name}", 1, "default", None, None)
    tool = next((each for each in servers.tools if each.name == name), None)
    if tool is None:
        return
    try:
        print(name, await tool.invoke(arguments, call))
    except ToolError as refused:
        print(name, refused.code, refused)
        given = {key: each for key, each in arguments.items() if each is not None}
        if refused.code == "invalid_arguments" and given != arguments:
            await _call(servers, name, given)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
