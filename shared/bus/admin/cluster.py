"""Read-only survey of a Kafka cluster and the settings of its topics."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from shared.bus.admin.topic_reader import reading
from shared.bus.outages import mapped
from shared.bus.record import time_of
from shared.bus.security import connection, secured
from shared.config import Settings

_FETCH, _JOIN_GROUP, _DESCRIBE_CLUSTER, _GROUP_HEARTBEAT = 1, 11, 60, 68
"""Request numbers of Kafka's protocol."""

_MARKS = 16
"""Offsets read at the end of a partition: transactions leave markers behind their records."""


@dataclass(frozen=True, slots=True)
class KafkaSurvey:
    """A Kafka cluster and its topics with the prefix, named without it."""

    brokers: int
    embedded: bool
    """True for the embedded broker, which has no controller and little storage."""
    at_least: tuple[int, int] | None
    """Minimum release, inferred from supported requests; None if older than 2.3."""
    partitions: Mapping[str, int]
    settings: Mapping[str, Mapping[str, str]]
    """Settings of each topic under Kafka's names; empty if the broker cannot describe them."""


async def survey(settings: Settings) -> KafkaSurvey:
    """Survey the cluster. Raises KafkaError if Kafka is unavailable: call `await_kafka` first, and set a time limit."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        with mapped():
            await admin.start()
        cluster = await admin.describe_cluster()
        prefix = settings.topic_prefix
        found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
        ours = {name.removeprefix(prefix): number for name, number in found.items() if name.startswith(prefix)}
        return KafkaSurvey(
            brokers=len(cluster["brokers"]),
            embedded=str(cluster.get("cluster_id", "")).startswith("mockCluster"),
            at_least=await _release(settings),
            partitions=ours,
            settings=await _settings(admin, prefix, list(ours)),
        )
    finally:
        await admin.close()


async def newest(settings: Settings, topic: str) -> datetime | None:
    """Return the time of the topic's newest record, by its writer's clock; None if there is none."""
    times = list[datetime]()
    async with reading(settings, lambda name: name == topic) as reader:
        for partition in reader.partitions.get(topic, ()):
            first, end = await reader.bounds(partition)
            async for record in reader.between(partition, max(first, end - _MARKS), end):
                times.append(time_of(record))
    return max(times, default=None)


async def _release(settings: Settings) -> tuple[int, int] | None:
    """Infer a lower bound of the release, which Kafka does not report, from the requests it supports."""
    with mapped():
        opened = await _some_server(settings)
        try:
            answer = await opened.send(ApiVersionRequest())
        finally:
            await opened.close()
    takes = {key: (low, high) for key, low, high in answer.api_versions}
    signs = {
        (4, 0): takes[_FETCH][0] >= 4,
        (3, 5): _GROUP_HEARTBEAT in takes,
        (2, 8): _DESCRIBE_CLUSTER in takes,
        (2, 3): takes[_JOIN_GROUP][1] >= 5,
    }
    return next((release for release, shown in signs.items() if shown), None)


async def _some_server(settings: Settings) -> AIOKafkaConnection:
    """Connect to the first server that accepts us. Raises the last server's error if none does."""
    *others, last = collect_hosts(settings.kafka.split(","))
    for host, port, _ in others:
        with suppress(KafkaError, OSError):
            return await create_conn(host, port, **secured(settings))
    host, port, _ = last
    return await create_conn(host, port, **secured(settings))


async def _settings(admin: AIOKafkaAdminClient, prefix: str, topics: list[str]) -> Mapping[str, Mapping[str, str]]:
    wanted = [ConfigResource(ConfigResourceType.TOPIC, prefix + topic) for topic in topics]
    try:
        answers = await admin.describe_configs(wanted) if wanted else []
    except IncompatibleBrokerVersion:
        return {}
    described = [resource for answer in answers for resource in answer.to_object()["resources"]]
    return {
        each["resource_name"].removeprefix(prefix): {
            entry["config_names"]: entry["config_value"] for entry in each["config_entries"]
        }
        for each in described
        if each["error_code"] == 0
    }
