"""The whole swarm through what must not hurt it: an emptied Redis, a failed run, a rebuild by hand, dead letters."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from infra.demo import sample
from shared.blackboard import Sentinel
from tests.support.swarm import CSV, envelope, follow, listening, publish, result_for, result_of, submit

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def gateway(swarm):
    async with httpx.AsyncClient(base_url=swarm.endpoints["WAGGLE_GATEWAY"], timeout=30) as client:
        yield client


@pytest.fixture
async def sentinel(swarm):
    found = Sentinel(swarm.endpoints["WAGGLE_REDIS"])
    yield found
    await found.close()


def waggle(swarm, *arguments: str) -> subprocess.CompletedProcess:
    """The command line, run by an operator of this swarm."""
    prefix = {"WAGGLE_TOPIC_PREFIX": swarm._environment["WAGGLE_TOPIC_PREFIX"]}
    command = [sys.executable, "-m", "services.cli", *arguments]
    environment = os.environ | swarm.endpoints | prefix
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


async def whole_again(gateway, sentinel, before: str) -> None:
    async with asyncio.timeout(30):
        while not await sentinel.refresh() or sentinel.generation == before:
            await asyncio.sleep(0.1)
        while (await gateway.get("/v1/runs/run-unknown")).status_code == 503:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("after", [0.3, 1.0])
async def test_a_redis_that_is_emptied_in_the_middle_delays_the_demo_and_nothing_else(
    swarm, gateway, sentinel, after, tmp_path
):
    truth = sample.generate(tmp_path, seed=int(after * 10), rows=50_000)
    orders = (tmp_path / "orders.csv").read_bytes()
    uploaded = (await gateway.post("/v1/files", params={"name": "orders.csv"}, content=orders)).json()
    runbooks = [{"name": p.name, "text": p.read_text()} for p in sorted((tmp_path / "runbooks").glob("*.md"))]
    mails = set(swarm.state.mailbox.glob("*.eml"))
    await sentinel.refresh()
    before = sentinel.generation
    run_id = await submit(gateway, sample.TASK, context={"attachments": [uploaded, *runbooks]})
    while (await gateway.get(f"/v1/runs/{run_id}")).json().get("state") in {None, "INTAKE"}:
        await asyncio.sleep(0.02)
    await asyncio.sleep(after)
    await sentinel.own.flushall()
    await whole_again(gateway, sentinel, before)
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    assert truth.error_code in result["answer"]
    assert len(set(swarm.state.mailbox.glob("*.eml")) - mails) == 1


async def test_ended_runs_can_be_read_after_redis_is_flushed(swarm, gateway, sentinel):
    run_id = await submit(
        gateway, "Summarise visitors.csv", context={"attachments": [{"name": "visitors.csv", "text": CSV}]}
    )
    events = await follow(gateway, run_id)
    result = await result_of(gateway, run_id)
    await sentinel.refresh()
    before = sentinel.generation
    await sentinel.own.flushall()
    await whole_again(gateway, sentinel, before)
    assert await result_of(gateway, run_id) == result
    kept = [each for each in events if each[0] != "waggle.progressed.v1"]
    assert await follow(gateway, run_id) == kept


async def test_a_manual_rebuild_reports_its_findings_and_work_continues(swarm, gateway, sentinel):
    done = waggle(swarm, "rebuild")
    assert done.returncode == 0, done.stderr
    assert "Rebuilt: generation" in done.stdout
    assert "cannot be told" not in done.stdout
    assert json.loads(waggle(swarm, "rebuild", "--json").stdout)["epoch"] > 1
    run_id = await submit(gateway, "Say hello", shape="single", agent="communication")
    assert (await result_of(gateway, run_id))["status"] == "complete"


async def test_a_failed_run_is_resumed_and_keeps_what_was_done(swarm, gateway):
    attachment = {"name": "visitors.csv", "text": CSV}
    run_id = await submit(
        gateway, "Summarise visitors.csv", context={"attachments": [attachment]}, budget={"model_calls": 2}
    )
    failed = await result_of(gateway, run_id)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "budget_exhausted")
    resumed = waggle(swarm, "resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    async with asyncio.timeout(20):
        while "waggle.run-resumed.v1" not in {kind for kind, _ in await follow(gateway, run_id)}:
            await asyncio.sleep(0.2)
    again = await result_of(gateway, run_id)
    assert again["usage"]["model_calls"] == failed["usage"]["model_calls"], "what was recorded is not asked for again"


async def test_a_dead_letter_is_found_shown_and_put_back_from_the_command_line(swarm, gateway, tmp_path):
    prefix = swarm._environment["WAGGLE_TOPIC_PREFIX"]
    async with listening(swarm, prefix + "results") as results:
        await publish(swarm, prefix + "tasks", b'{"objective": 7}', **envelope("dead-1"))
        assert (await result_for(results, "dead-1"))["status"] == "rejected"
    listed = waggle(swarm, "dlq", "list", "--topic", "tasks", "--error", "invalid_payload")
    assert listed.returncode == 0, listed.stderr
    name = next(word for line in listed.stdout.splitlines() for word in line.split() if word.startswith("tasks.dlt/"))
    assert '{"objective": 7}' in waggle(swarm, "dlq", "show", name).stdout
    assert "Would redrive" in waggle(swarm, "dlq", "redrive", name, "--dry-run").stdout
    assert waggle(swarm, "dlq", "redrive", name, "--by", "ada").returncode == 0
    again = waggle(swarm, "dlq", "redrive", name)
    assert again.returncode == 9
    assert "ada" in again.stderr
    assert waggle(swarm, "dlq", "discard", "--reason", "tests").returncode == 2
    assert waggle(swarm, "dlq", "discard", "--all", "--reason", "tests").returncode == 0
    assert "tasks.dlt" not in waggle(swarm, "dlq", "list").stdout
