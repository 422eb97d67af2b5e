"""A step of ours as a task of an A2A agent of another system, with a worker, a journal and HTTP that are real."""

import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from schemas.step import StepCompleted
from services.remote.agent_elsewhere import agent_of
from services.remote.settings import RemoteSettings
from services.remote.tools import RemoteTools
from shared.a2a import Remote
from shared.a2a.connection import Connection
from shared.agent.worker import Worker
from shared.archive import BlobStore
from tests.support.agent_loop import answer, handoff
from tests.support.peer_agent import Peer, peering
from tests.support.workers import worker_of

PLAIN = {"description": "Answers.", "private": True, "risk": "low", "effect": "read"}


@pytest.fixture
async def peer():
    async with peering() as found:
        yield found


@pytest.fixture
def working(settings, topics, sentinel):
    """Start a worker for the agent elsewhere."""

    @asynccontextmanager
    async def start(peer: Peer, headers=(), **rules):
        connection = Connection("peer", Remote(**PLAIN | {"card": peer.url} | rules), dict(headers))
        agent = agent_of(RemoteTools(connection))
        async with worker_of(agent, settings, sentinel) as worker:
            archive = BlobStore(settings.postgres, 10_000_000)
            yield Worker(replace(worker.runtime, archive=archive, agent_settings=RemoteSettings()))
            await archive.close()
            await connection.close()

    return start


def step_of(worker: Worker, objective: str, **changes):
    return handoff(worker.runtime.agent, objective=objective, destinations=[], **changes)


def recorded(journal, name: str) -> dict:
    return json.loads(journal[name])


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_step_is_a_task_of_the_agent_and_its_answer_is_marked_as_its_own(working, version, binding):
    async with peering(version=version, bindings=[binding]) as peer, working(peer) as worker:
        step = step_of(worker, "sum the orders", constraints=["in EUR"])
        reply, journal = await answer(worker, step)
    assert isinstance(reply, StepCompleted), reply
    assert reply.output.answer == "42"
    assert "agent of another system" in reply.output.caveats[0]
    assert reply.output.confidence == 0.5
    assert peer.texts == ["sum the orders\n\nConstraints:\n- in EUR"]
    assert recorded(journal, "call-2")["origin"] == f"agent:{peer.url.removeprefix('http://')}/peer"
