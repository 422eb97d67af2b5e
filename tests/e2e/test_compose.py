"""The processes of docker-compose.yml, from what its image holds, with its environment, against real servers here."""

import asyncio
import os
import re
from email import message_from_bytes, policy
from urllib.parse import urlsplit

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.compose import content
from infra.compose.__main__ import ROOT
from infra.compose.reading import read
from infra.compose.swarm import Swarm
from infra.demo import sample
from infra.kafka.broker import Secured, running
from infra.ready import failing
from tests.conftest import started

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

OF_THE_CONTAINER = {
    "KAFKA_HEAP_OPTS",
    "KAFKA_NODE_ID",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",
    "KAFKA_LISTENERS",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
    "KAFKA_INTER_BROKER_LISTENER_NAME",
    "KAFKA_LOG_DIRS",
}
"""Variables about the JVM, or with paths in a container."""


@pytest.fixture(scope="module")
async def servers(own_kafka, tmp_path_factory):
    async with started(
        tmp_path_factory.mktemp("compose"), os.environ | {"WAGGLE_KAFKA": own_kafka}, services=[]
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
async def swarm(servers, tmp_path_factory):
    found = servers.endpoints
    here = {
        "kafka:9092": found["WAGGLE_KAFKA"],
        "redis:6379": urlsplit(found["WAGGLE_REDIS"]).netloc,
        "postgres:5432": found["WAGGLE_POSTGRES"],
        "mail:1025": urlsplit(found["WAGGLE_SMTP"]).netloc,
    }
    built = content.environment(ROOT)
    async with Swarm(read(ROOT), built, tmp_path_factory.mktemp("volumes"), here) as swarm:
        yield swarm


async def test_the_demo_task_ends_right_with_runbooks_out_of_the_volume(swarm, servers):
    folder = swarm.place("/demo", "gateway")
    truth = sample.generate(folder.parent / "again")
    command = "WAGGLE_GATEWAY=http://127.0.0.1:8080 waggle submit - --attach /demo/orders.csv"
    said = swarm.run("gateway", ["env", *command.split()], asked=(folder / "task.txt").read_text())
    assert said.returncode == 0, said.stdout + said.stderr
    for fact in (truth.value, truth.error_code, truth.remedy):
        assert fact in re.sub(r"\s+", " ", said.stdout)
    mails = [message_from_bytes(p.read_bytes(), policy=policy.default) for p in servers.state.mailbox.glob("*.eml")]
    assert [mail["To"] for mail in mails] == ["oncall@example.com"]


async def test_every_health_check_of_ours_is_answered(swarm):
    for name in swarm.lasting():
        asked = swarm.health(name)
        assert asked.returncode == 0, f"{name}: {asked.stderr}"


async def test_metrics_are_where_prometheus_asks_for_them(swarm):
    asked = [swarm.metrics(name) for name in read(ROOT).swarm()]
    assert failing(asked) == []


def test_apache_kafka_takes_and_has_every_setting_it_is_given():
    given = read(ROOT).services["kafka"]["environment"]
    names = {name: name.removeprefix("KAFKA_").lower().replace("_", ".") for name in given if name.startswith("KAFKA_")}
    wanted = {property_: given[name] for name, property_ in names.items() if name not in OF_THE_CONTAINER}
    with running(secured=Secured({}, wanted, {})) as bootstrap:
        has = asyncio.run(broker_settings(bootstrap))
    assert {name: has.get(name) for name in wanted} == wanted


async def broker_settings(bootstrap) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    ((_, _, _, _, entries),) = answer.resources
    return {entry[0]: entry[1] for entry in entries}
