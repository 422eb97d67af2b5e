"""A swarm with an agent of another system: a step is its task, its question is ours, and a kill loses neither."""

import asyncio
import os

import pytest

from tests.conftest import started
from tests.support.peer_agent import Peer, peering
from tests.support.swarm import gateway, submit

__all__ = ["gateway"]

SERVICES = ["gateway", "orchestrator", "timekeeper", "reviewer", "peer"]


@pytest.fixture(scope="module")
async def peer():
    async with peering() as found:
        yield found


@pytest.fixture(scope="module")
async def swarm(own_kafka, model, peer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("swarm-with-peer")
    (folder / "remotes.toml").write_text(
        f'[remotes.peer]\ncard = "{peer.url}"\ndescription = "Answers questions."\nprivate = true\n'
        'key = "PEER_TOKEN"\nrisk = "low"\neffect = "compensable"\nprice = 0.5\n'
    )
    environment = os.environ | {
        "WAGGLE_KAFKA": own_kafka,
        "OPENAI_BASE_URL": f"{model}/v1",
        "OPENAI_API_KEY": "simulated",
        "WAGGLE_REMOTES": str(folder / "remotes.toml"),
        "PEER_TOKEN": "t0ken-for-the-peer",
    }
    async with started(folder, environment, services=SERVICES) as stack:
        yield stack


async def run_in(gateway, run_id: str, *states: str) -> dict:
    async with asyncio.timeout(60):
        while (run := (await gateway.get(f"/v1/runs/{run_id}")).json())["state"] not in states:
            await asyncio.sleep(0.1)
    return run


async def test_a_task_of_an_agent_elsewhere_survives_the_kill_of_its_worker(swarm, gateway, peer: Peer):
    run_id = await submit(gateway, "slow but sure", shape="single", agent="peer")
    await asyncio.wait_for(peer.working.wait(), 60)
    child = next(child for child in swarm._children if child.name == "peer")
    os.kill(child.pid, 9)
    peer.release.set()
    await run_in(gateway, run_id, "COMPLETE")
    result = (await gateway.get(f"/v1/runs/{run_id}/result")).json()
    assert result["answer"] == "done at last"
    assert result["usage"]["cost_usd"] >= 0.5
    assert (len(peer.received), peer.cancelled) == (1, [])
    assert {each["authorization"] for each in peer.headers} == {"Bearer t0ken-for-the-peer"}
    log = (swarm.state.logs / "peer.log").read_text()
    assert "remote_card_read" in log
    assert "t0ken-for-the-peer" not in log


async def test_a_question_of_an_agent_elsewhere_is_answered_by_a_person(swarm, gateway, peer: Peer):
    run_id = await submit(gateway, "ask me", shape="single", agent="peer")
    await run_in(gateway, run_id, "WAITING_HUMAN")
    [question] = (await gateway.get(f"/v1/runs/{run_id}")).json()["questions"]
    assert "Which currency?" in question["asked"]["question"]
    about = {"request_id": question["asked"]["request_id"], "decision": "approve", "answer": "EUR", "by": "eva"}
    answered = await gateway.post(f"/v1/runs/{run_id}/decisions", json=about)
    assert answered.status_code == 202, answered.text
    await run_in(gateway, run_id, "COMPLETE")
    assert (await gateway.get(f"/v1/runs/{run_id}/result")).json()["answer"] == "in EUR"
    assert peer.texts[-2:] == ["ask me", "EUR"]
