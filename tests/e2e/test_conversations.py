"""A conversation through the whole swarm: kills of the orchestrator, an emptied Redis, and the command line."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from shared.blackboard import Sentinel
from tests.support.swarm import result_of, submit

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]


LATER = {"expires": None, "facts": None}
"""Fields of a restored conversation that may differ: the service `memory` writes the facts once it sees the loss."""


def contents(session: dict) -> set[str]:
    return {fact["content"] for fact in session["facts"]}


def orchestrator_of(swarm):
    return next(child for child in swarm._children if child.name == "orchestrator")


async def turns_of(gateway, session: str) -> list[tuple[str, str]]:
    found = (await gateway.get(f"/v1/sessions/{session}")).json()
    assert found["turns"] == len(found["recent"])
    return [(turn["objective"], turn["status"]) for turn in found["recent"]]


@pytest.mark.timeout(300)
async def test_every_run_is_one_turn_although_the_orchestrator_is_killed_again_and_again(swarm, gateway):
    session, asked = f"talk-{uuid4().hex[:6]}", [f"Say number {n}" for n in range(6)]
    for number, objective in enumerate(asked):
        run_id = await submit(gateway, objective, session=session)
        await asyncio.sleep(0.15 * number)
        os.kill(orchestrator_of(swarm).pid, signal.SIGKILL)
        assert (await result_of(gateway, run_id))["status"] == "complete"
        await asyncio.wait_for(orchestrator_of(swarm).await_ready(), 30)
    assert await turns_of(gateway, session) == [(each, "complete") for each in asked]
    sentinel = Sentinel(swarm.endpoints["WAGGLE_REDIS"])
    try:
        before = (await gateway.get(f"/v1/sessions/{session}")).json()
        await sentinel.own.flushall()
        async with asyncio.timeout(60):
            while (answer := await gateway.get(f"/v1/sessions/{session}")).status_code != 200:
                await asyncio.sleep(0.2)
            after = answer.json()
            assert {**after, **LATER} == {**before, **LATER}
            while not contents(before) <= contents((await gateway.get(f"/v1/sessions/{session}")).json()):
                await asyncio.sleep(0.2)
    finally:
        await sentinel.close()


async def test_a_conversation_at_the_command_line_knows_what_was_said(swarm):
    environment = os.environ | swarm.endpoints
    command = [sys.executable, "-m", "services.cli", "chat", "--session", f"chat-{uuid4().hex[:6]}"]
    said = "What is in the handbook?\nWhat did I ask before?\n/end\nWhat did I ask before?\n"
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env=environment,
        cwd=ROOT,
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in {0, 10}, done.stderr
    assert done.stdout.count("1. What is in the handbook?") == 1
    assert "Ended." in done.stdout
