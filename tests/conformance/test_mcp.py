"""The conformance suite of MCP (npm) against `waggle mcp` and the client of the agents: `make mcp-conformance`.

Every scenario of the suite runs. One that needs a feature which Waggle does not offer is listed with the reason.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.probe import free_port, listens
from tests.support.fake_gateway import Script, serving

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".waggle" / "conformance" / "node_modules"
SUITE = INSTALLED / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = INSTALLED / ".bin" / "node"

pytestmark = pytest.mark.skipif(not SUITE.is_file(), reason="`make mcp-conformance` installs the suite")

NO_PROMPTS = "Waggle has no prompts"
NO_RESOURCES = "Waggle has no resources"
TEXT_ONLY = "results are text and data; files are named with their address"
ASKS_NOBODY = "a question outlives the call: it is asked by a task, not while the tool runs"
ITS_OWN_TOOL = "needs a tool of the suite's own; it tests the library's schemas, headers and streams"
NOT_OFFERED = {
    "completion-complete": "Waggle completes no arguments",
    "logging-set-level": "Waggle sends no log messages to clients",
    "tools-call-with-logging": "Waggle sends no log messages to clients",
    "elicitation-sep1034-defaults": ASKS_NOBODY,
    "elicitation-sep1330-enums": ASKS_NOBODY,
    "tools-call-elicitation": ASKS_NOBODY,
    "tools-call-sampling": "Waggle asks its own models",
    "http-custom-header-server-validation": ITS_OWN_TOOL,
    "json-schema-2020-12": ITS_OWN_TOOL,
    "server-sse-polling": ITS_OWN_TOOL,
    "tools-call-with-progress": ITS_OWN_TOOL,
    **dict.fromkeys((f"prompts-get-{each}" for each in ("simple", "with-args", "embedded-resource")), NO_PROMPTS),
    "prompts-get-with-image": NO_PROMPTS,
    **dict.fromkeys((f"resources-{each}" for each in ("read-text", "read-binary", "templates-read")), NO_RESOURCES),
    **dict.fromkeys((f"resources-{each}" for each in ("subscribe", "unsubscribe")), NO_RESOURCES),
    **dict.fromkeys((f"tools-call-{each}" for each in ("image", "audio", "embedded-resource")), TEXT_ONLY),
    "tools-call-mixed-content": TEXT_ONLY,
    **dict.fromkeys(
        (
            f"input-required-result-{each}"
            for each in (
                "basic-elicitation",
                "basic-sampling",
                "basic-list-roots",
                "request-state",
                "multiple-input-requests",
                "multi-round",
                "non-tool-request",
                "result-type",
                "tampered-state",
                "capability-check",
            )
        ),
        ASKS_NOBODY,
    ),
}
"""Scenario → reason that it does not apply."""

PARTS_NOT_OFFERED = {
    "sep-2575-server-rejects-undeclared-capability": ITS_OWN_TOOL,
    "sep-2575-missing-capability-http-400": ITS_OWN_TOOL,
    "sep-2663-tasks-get-status-failed": "a run that fails is an error of the tool; after its start none is JSON-RPC's",
    "sep-2663-failed-status-jsonrpc-only": "a run that fails is an error of the tool; none is JSON-RPC's",
}
"""Check of another scenario → reason that it does not apply."""

CLIENT = {
    "2025-11-25": ("initialize", "tools_call", "sse-retry", "json-schema-2020-12-preservation"),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
}
"""Version of the protocol → scenarios of clients. Agents answer no elicitation, and send fixed headers to log in."""


@asynccontextmanager
async def served(*command):
    """A server's address; the process ends with the block."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(port) if each == "PORT" else each for each in command),
        cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while not await listens(port):
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        await process.wait()


async def checks_of(address, folder, *options):
    """Scenario → its checks, of one run of the suite against a server."""
    return await suite_run(folder, "server", "--url", address, "--timeout", "20000", *options)


async def suite_run(folder, *arguments):
    """Scenario → its checks, of one run of the suite."""
    node = NODE if NODE.is_file() else shutil.which("node")
    command = [str(SUITE), *arguments, "-o", str(folder)]
    suite = await asyncio.create_subprocess_exec(
        str(node),
        *command,
        cwd=ROOT,
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await suite.communicate()
    found = {each.parent.name: json.loads(each.read_text()) for each in sorted(folder.glob("*/checks.json"))}
    assert found, said.decode()
    return {re.sub(r"-\d{4}-\d\d-\d\dT.*", "", name.removeprefix("server-")): each for name, each in found.items()}


def report(title, found):
    """Print a line for each scenario, and return the failed checks that count."""
    failed = []
    print(f"\n{title}")
    for name, checks in found.items():
        wrong = [each for each in checks if each["status"] == "FAILURE"]
        counted = [each for each in wrong if name not in NOT_OFFERED and each["id"] not in PARTS_NOT_OFFERED]
        failed += [(name, each["id"], each.get("errorMessage")) for each in counted]
        passed = Counter(each["status"] for each in checks)["SUCCESS"]
        reasons = {PARTS_NOT_OFFERED.get(each["id"], "") for each in wrong} if not counted else set()
        why = NOT_OFFERED.get(name) or "; ".join(sorted(reasons))
        said = f"does not apply: {why}" if wrong and not counted else f"{len(counted)} failed" if counted else ""
        print(f"  {name:48} {passed:3} passed  {said}".rstrip())
    return failed


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_waggle_mcp_passes_every_scenario_that_applies(tmp_path, version):
    script = Script()
    script.add()
    with serving(script) as gateway:
        async with served("-m", "services.cli", "mcp", "--gateway", gateway.url, "--port", "PORT") as address:
            found = await checks_of(address, tmp_path, "--suite", "all", "--spec-version", version)
    assert report(f"waggle mcp, protocol {version}", found) == []
    assert len(found) > 30
    idle = {name for name in NOT_OFFERED if name in found and all(each["status"] != "FAILURE" for each in found[name])}
    assert not idle, f"these apply now: {idle}"


async def test_tasks_pass_every_scenario_on_simulated_runs(tmp_path):
    async with served("-m", "tests.conformance.mcp_server", "PORT") as address:
        found = await checks_of(address, tmp_path, "--suite", "pending")
    tasks = {name: checks for name, checks in found.items() if name.startswith("tasks-")}
    assert report("tasks extension", tasks) == []
    assert len(tasks) == 10


@pytest.mark.parametrize("version", CLIENT)
async def test_the_client_of_the_agents_passes_every_scenario_that_applies(tmp_path, version):
    client = f"{sys.executable} -m tests.conformance.mcp_client"
    found = {}
    for scenario in CLIENT[version]:
        options = ("--command", client, "--scenario", scenario, "--spec-version", version, "--timeout", "30000")
        found |= await suite_run(tmp_path, "client", *options)
    assert report(f"client of the agents, protocol {version}", found) == []
    assert found.keys() == set(CLIENT[version])
