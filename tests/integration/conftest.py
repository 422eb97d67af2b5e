"""Servers that admit no client without credentials, for the tests of secure transport; an orchestrator."""

from pathlib import Path

import pytest

from infra.kafka.broker import running
from shared.blackboard import announce
from tests.support.agent_loop import agent, worker
from tests.support.blackboard import store
from tests.support.certificates import Certificates
from tests.support.kill_switch import switch
from tests.support.orchestrating import CARD, orchestrating
from tests.support.secured_servers import postgres_binaries, redis_with_tls, secured_kafka, secured_postgres

__all__ = ["agent", "store", "switch", "worker"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Certificates of this run."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def guarded(request, made):
    """A Kafka with every kind of listener: their addresses by name."""
    if request.config.getoption("kafka") != "real":
        pytest.skip("the embedded broker knows neither TLS nor SASL: --kafka real")
    ways = secured_kafka(made)
    with running(secured=ways):
        yield {name: f"127.0.0.1:{port}" for name, (_, port) in ways.listeners.items()}


@pytest.fixture(scope="session")
def redis_binary():
    """A Redis server that speaks TLS."""
    return redis_with_tls() or pytest.skip("no redis-server that speaks TLS is installed: apt-get install redis-server")


@pytest.fixture(scope="session")
def postgres_folder():
    """Folder of the binaries of a Postgres that speaks TLS."""
    return postgres_binaries() or pytest.skip("no Postgres that speaks TLS is installed: apt-get install postgresql")


@pytest.fixture(scope="session")
def guarded_postgres(postgres_folder, made, tmp_path_factory):
    """The port of a Postgres with TLS."""
    with secured_postgres(postgres_folder, tmp_path_factory.mktemp("postgres"), made.server) as port:
        yield port


@pytest.fixture
def expired_postgres(postgres_folder, made, tmp_path_factory):
    """The port of a Postgres whose certificate has expired."""
    with secured_postgres(postgres_folder, tmp_path_factory.mktemp("expired"), made.expired) as port:
        yield port


@pytest.fixture
async def orchestrator(settings, topics, sentinel):
    """One that knows the agent `data`."""
    await announce(sentinel.own, CARD)
    async with orchestrating(settings, sentinel) as found:
        yield found
