"""`python -m tests.evals.tau.server DOMAIN FILE SEED`: the tools of a domain as an MCP server, over a log of calls.

The log is the database: a call counts once it is in there with its idempotency key, and a repeated key is answered
from there. At some calls the server kills its client, before the call is in the log or before it is answered.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
from typing import Any

import mcp.server.stdio
from inspect_ai.tool import ToolError
from mcp import types
from mcp.server.lowlevel.server import Server

from tests.evals.tau.worlds import READS, Cases, States

KEY = "waggle/idempotency-key"
SHARE = 0.01
"""Calls of which the client is killed: that many before, that many after."""
TABLES = """
create table if not exists calls (number integer primary key, key text unique, "case" text, tool text, arguments text,
    answer text, failed integer, asked integer default 1);
create table if not exists kills (key text, place text, primary key (key, place));
"""


class Desk:
    """The calls of a domain."""

    def __init__(self, domain: str, path: str, seed: str) -> None:
        self.cases = Cases(domain)
        self._states = States(self.cases)
        self._seed = seed
        self._log = sqlite3.connect(path, isolation_level=None)
        self._log.executescript("pragma journal_mode = wal; pragma busy_timeout = 10000;" + TABLES)

    def call(self, key: str, case: str, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """Make a call once, and return its answer; true if it is an error."""
        known = self._log.execute("select answer, failed from calls where key = ?", (key,)).fetchone()
        if known:
            self._log.execute("update calls set asked = asked + 1 where key = ?", (key,))
            return known[0], bool(known[1])
        self._kill(key, "before")
        answer, failed = self._made(case, tool, arguments)
        row = (key, case, tool, json.dumps(arguments), answer, failed)
        insert = 'insert into calls (key, "case", tool, arguments, answer, failed) values (?, ?, ?, ?, ?, ?)'
        self._log.execute(insert, row)
        self._kill(key, "after")
        return answer, failed

    def _made(self, case: str, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        state = self._states.of(case, lambda: self._made_before(case))
        try:
            return state.apply(tool, arguments), False
        except ToolError as refused:
            return str(refused), True

    def _made_before(self, case: str) -> list[tuple[str, dict[str, Any]]]:
        rows = self._log.execute('select tool, arguments from calls where "case" = ? order by number', (case,))
        return [(tool, json.loads(arguments)) for tool, arguments in rows]

    def _kill(self, key: str, place: str) -> None:
        """Kill the client at some calls, once."""
        if random.Random(f"{self._seed}/{key}/{place}").random() >= SHARE:
            return
        if self._log.execute("insert or ignore into kills values (?, ?)", (key, place)).rowcount:
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(1)


async def serve(domain: str, path: str, seed: str) -> None:
    """Serve until the client is gone."""
    desk = Desk(domain, path, seed)

    async def listed(*_: Any) -> types.ListToolsResult:
        tools = desk.cases.tools().items()
        return types.ListToolsResult(
            tools=[types.Tool(name=name, description=_words(name), input_schema=schema) for name, schema in tools]
        )

    async def called(context: Any, given: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = dict(given.arguments or {})
        key = dict(context.meta or {}).get(KEY) or dict(given.meta or {})[KEY]
        answer, failed = desk.call(key, arguments.pop("case"), given.name, arguments)
        return types.CallToolResult(content=[types.TextContent(type="text", text=answer)], is_error=failed)

    server = Server("tau", on_list_tools=listed, on_call_tool=called)
    async with mcp.server.stdio.stdio_server() as streams:
        await server.run(*streams, server.create_initialization_options())


def _words(name: str) -> str:
    return ("Look up: " if name.startswith(READS) else "Do: ") + name.replace("_", " ")


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
