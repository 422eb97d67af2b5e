"""An agent of another system, and workers for the agent that stands for it."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.remote.agent_elsewhere import agent_of
from services.remote.settings import RemoteSettings
from services.remote.tools import RemoteTools
from shared.a2a import Remote
from shared.a2a.connection import Connection
from shared.agent.worker import Worker
from shared.archive import BlobStore
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
