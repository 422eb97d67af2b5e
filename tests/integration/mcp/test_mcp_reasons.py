"""An MCP server that does not work says why, as far as it can be known."""

import asyncio
import json
import signal
import sys

import pytest

from shared.mcp.connection import Connection
from shared.mcp.declare import Declared
from shared.mcp.process import how_it_ended
from tests.support.lines import logging_as
from tests.support.plugging import until

FAILING = """
import json, sys
for line in sys.stdin:
    if (asked := json.loads(line)).get("id") is not None:
        error = {"code": -32603, "message": "no database"}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
"""

WHY = [
    ("import sys; print('no such module', file=sys.stderr); sys.exit(3)", ["it ended with status 3", "no such module"]),
    ("import os; os.kill(os.getpid(), 9)", ["it was ended by SIGKILL"]),
    ("import time; print('Starting…', flush=True); time.sleep(60)", ["it did not answer within 3 s", "Starting"]),
    (FAILING, ["protocol error -32603", "no database"]),
    ("import sys; print('token=hidden-word-here', file=sys.stderr); sys.exit(1)", ["it ended with status 1"]),
]


@pytest.mark.parametrize(("program", "said"), WHY, ids=["status", "signal", "silence", "protocol", "secret"])
async def test_the_log_names_the_exit_the_signal_the_silence_or_the_protocol_error(program, said):
    server = Declared.model_validate(
        {"command": sys.executable, "args": ["-c", program], "agents": ["calc"], "connect_timeout": 3.0}
    )
    with logging_as("calc") as lines:
        keeping = asyncio.create_task(Connection("odd", server, lambda: None, lambda: None).keep())
        await until(lambda: any(line["event"].startswith("mcp_server_unavailable") for line in lines()))
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    why = next(line["reason"] for line in lines() if line["event"].startswith("mcp_server_unavailable"))
    assert all(part in why for part in said), json.dumps(why)
    assert "hidden-word-here" not in why


def test_every_way_a_process_ends_has_its_words():
    assert how_it_ended(0) == "it ended with status 0"
    assert how_it_ended(-signal.SIGTERM) == "it was ended by SIGTERM"
    assert how_it_ended(-99) == "it was ended by signal 99"
    assert how_it_ended(None) == "it closed its output"
