"""The parts every test talks to, real and started once: Kafka (embedded, or Apache Kafka with `--kafka real`), Redis,
Postgres, a mail sink and the simulated model."""

import asyncio
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import settings as settings_of_examples
from redis.asyncio import Connection

from infra import topics as declared_topics
from infra.embedded.stack import Stack, service_names
from infra.kafka.broker import libraries, running
from infra.probe import answers, free_port
from shared.blackboard import Sentinel
from shared.config import Settings
from tests.support.embedded_kafka import EmbeddedKafka

ROOT = Path(__file__).parents[1]
MODEL = pytest.StashKey[str]()


def pytest_addoption(parser):
    parser.addoption("--kafka", choices=["embedded", "real"], default="embedded", help="which broker tests use")
    parser.addoption("--pictures", action="store_true", help="take the pictures of the documentation again")


# A deadline for each example would make a slow machine a failure.
settings_of_examples.register_profile("waggle", deadline=None)
settings_of_examples.load_profile("waggle")


def pytest_configure(config):
    real = config.getoption("kafka") == "real"
    if real and not hasattr(config, "workerinput") and "WAGGLE_KAFKA" not in os.environ:
        libraries()  # fetched once, before workers that would each fetch them


@pytest.fixture(scope="session", autouse=True)
async def nothing_left_open():
    """Close connections of cancelled redis-py commands, which would be reported in an unrelated test."""
    yield
    for left in [each for each in gc.get_objects() if isinstance(each, Connection) and each.is_connected]:
        await left.disconnect(nowait=True)


@pytest.fixture(scope="session")
def kafka(request):
    """The address of the broker under test."""
    if request.config.getoption("kafka") == "embedded":
        broker = EmbeddedKafka()
        yield broker.bootstrap
        broker.close()
    elif given := os.environ.get("WAGGLE_KAFKA"):
        yield given
    else:
        with running() as bootstrap:
            yield bootstrap


@pytest.fixture(scope="module")
def own_kafka(request, kafka):
    """The address of a broker that only one module's tests use.

    The embedded broker cannot delete topics, and clients that list all of them slow down with each test's.
    """
    if request.config.getoption("kafka") != "embedded":
        yield kafka
        return
    broker = EmbeddedKafka()
    yield broker.bootstrap
    broker.close()


@pytest.fixture(scope="session")
async def model(request):
    """The simulated model, scriptable: POST /scenarios, GET /calls."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "infra.simulated_model", "--port", str(port), "--allow-control"])
    url = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(30):
        while not await answers(f"{url}/health"):
            await asyncio.sleep(0.05)
    request.config.stash[MODEL] = url
    yield url
    server.terminate()
    server.wait()


@pytest.fixture(scope="module", autouse=True)
def no_scenarios_left(request):
    """Remove what a module has told the simulated model: a scenario may fit the work of another one."""
    yield
    if url := request.config.stash.get(MODEL, ""):
        httpx.delete(f"{url}/scenarios", trust_env=False).raise_for_status()


@pytest.fixture(scope="session")
async def parts(kafka, tmp_path_factory):
    """Redis, Postgres and mail next to the broker, without services."""
    environment = os.environ | {"WAGGLE_KAFKA": kafka, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    async with started(tmp_path_factory.mktemp("parts"), environment, services=[]) as stack:
        yield stack.endpoints


class started:  # noqa: N801 -- reads as a sentence
    """A stack for as long as a block. Without `services`: all but the notifier and the evaluator, which samples."""

    def __init__(self, root: Path, environment: dict, services: list[str] | None = None) -> None:
        clear = {"WAGGLE_SEAL": "false"}  # tests look into topics; those of sealing switch it on
        prefix = {"WAGGLE_TOPIC_PREFIX": f"t{uuid4().hex[:8]}."}
        wanted = (
            [name for name in service_names(ROOT) if name not in ("notifier", "evaluator")]
            if services is None
            else services
        )
        self.stack = Stack(root, environment=clear | environment | prefix, services=wanted)

    async def __aenter__(self) -> Stack:
        await self.stack.start()
        return self.stack

    async def __aexit__(self, *_) -> None:
        await self.stack.stop()
        shutil.rmtree(self.stack.state.postgres.parent, ignore_errors=True)


@pytest.fixture
async def sentinel(parts):
    """An empty blackboard, declared whole."""
    sentinel = Sentinel(parts["WAGGLE_REDIS"])
    await sentinel.own.flushall()
    await sentinel.renew(1)
    yield sentinel
    await sentinel.close()


@pytest.fixture
async def redis(sentinel):
    """Its Redis."""
    return sentinel.own


@pytest.fixture
def settings(own_kafka, parts):
    """Settings of one test: its topics are its own."""
    return Settings(
        kafka=own_kafka,
        redis=parts["WAGGLE_REDIS"],
        postgres=parts["WAGGLE_POSTGRES"],
        topic_prefix=f"t{uuid4().hex[:8]}.",
    )


@pytest.fixture
async def topics(settings, request):
    """The test's own topics, created; and removed from a real Kafka, which thousands of partitions would slow down."""
    declared = declared_topics.declared()
    await declared_topics.create(settings.kafka, settings.topic_prefix, declared)
    real = request.config.getoption("kafka") == "real"
    if real:
        await led(settings, declared)
    yield
    if real:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        await admin.start()
        await admin.delete_topics([settings.topic_prefix + topic.name for topic in declared])
        await admin.close()


async def led(settings, declared):
    """Return when every partition of the topics has a leader, which a real Kafka elects after it has created them."""
    admin, names = (
        AIOKafkaAdminClient(bootstrap_servers=settings.kafka),
        [settings.topic_prefix + t.name for t in declared],
    )
    await admin.start()
    async with asyncio.timeout(60):
        while any(not _is_led(topic) for topic in await admin.describe_topics(names)):
            await asyncio.sleep(0.05)
    await admin.close()


def _is_led(topic) -> bool:
    partitions = topic["partitions"]
    return topic["error_code"] == 0 and all(each["error_code"] == 0 and each["leader"] >= 0 for each in partitions)


def pytest_collection_modifyitems(items) -> None:
    """Run the files that start a swarm last, and of those the ones that share the session's at the very end.

    Its idle services, which run to the end of the session, take CPU from all tests that follow.
    """
    sharing = {item.path for item in items if _shares_the_swarm(item)}
    items.sort(key=lambda item: 2 * (item.path in sharing) or item.path.is_relative_to(ROOT / "tests" / "e2e"))


def _shares_the_swarm(item) -> bool:
    """Return True for a test of the session's swarm, rather than of a swarm of its module."""
    found = item._fixtureinfo.name2fixturedefs.get("swarm", ()) if isinstance(item, pytest.Function) else ()
    return bool(found) and found[-1].scope == "session"


@pytest.fixture(scope="session")
async def swarm(kafka, model, tmp_path_factory):
    """Every service as its own process."""
    environment = os.environ | {"WAGGLE_KAFKA": kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}
    async with started(tmp_path_factory.mktemp("swarm"), environment) as stack:
        yield stack
