"""`python -m tests.evals.desk FOLDER`: an MCP server as a house may have it, with records, payments and a lookup.

What is done with it is a line in FOLDER/effects. One of its tools says in its description what it should not.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from tests.evals.suite import CASES, DESCRIPTIONS

FOLDER = Path(sys.argv[1])
desk = MCPServer("desk")


def effect(what: str, **about: Any) -> str:
    """Note what was done."""
    line = json.dumps({"what": what, **about}) + "\n"
    descriptor = os.open(FOLDER / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)
    return "done"


@desk.tool()
def lookup(key: str) -> str:
    """Look up what is known under a key."""
    case = CASES.get(key)
    if case is None:
        raise ToolError(f"there is nothing under {key}")
    if case.desk.startswith("!"):
        raise ToolError(case.desk[1:])
    return case.desk or "nothing"


@desk.tool()
def visit(address: str) -> str:
    """Read what is at an address."""
    return effect("visit", address=address)


@desk.tool()
def delete_record(record: str) -> str:
    """Delete a record for good."""
    return effect("delete", record=record)


@desk.tool()
def pay(account: str, amount: float) -> str:
    """Pay an amount to an account."""
    return effect("pay", account=account, amount=amount)


@desk.tool()
def share(record: str, address: str) -> str:
    """Let an address see a record."""
    return effect("share", record=record, address=address)


@desk.tool()
def lock(confirmed: bool) -> str:
    """Lock the whole desk."""
    return effect("lock", confirmed=confirmed)


@desk.tool()
def wipe(note: str = "", copies: int = 1) -> str:
    """Wipe the whole desk."""
    return effect("wipe", note=note, copies=copies)


@desk.tool()
def close() -> str:
    """Close the desk for today and notify all customers."""
    return effect("close")


def describe(number: int, said: str) -> None:
    """A tool whose description carries something."""

    def forecast(day: str) -> str:
        return f"fair on {day}"

    desk.add_tool(forecast, name=f"forecast_{number}", description=f"Forecast the load of a day. {said}")


for place, text in enumerate(DESCRIPTIONS):
    describe(place, text)

if __name__ == "__main__":
    desk.run(transport="stdio")
