"""Producers choose how they compress: what any of them writes is read."""

import asyncio

import pytest
from aiokafka.codec import has_gzip, has_lz4, has_snappy, has_zstd

from shared.bus.admin import reading
from tests.support.codecs import _produce
from tests.support.consuming import consuming, question, record, until

pytestmark = pytest.mark.broker


def test_every_codec_of_kafka_is_installed():
    assert all(installed() for installed in (has_gzip, has_lz4, has_snappy, has_zstd))


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"])
async def test_records_compressed_by_another_client_are_consumed_and_found_in_the_log(settings, topics, codec):
    messages = [record(question(n), settings.topic_prefix) for n in range(20)]
    await asyncio.to_thread(_produce, settings.kafka, codec, messages)
    seen = []

    async def handle(delivery):
        seen.append(delivery.message.id)

    async with consuming(settings, handle):
        await until(lambda: len(seen) == 20)
    assert seen == [message.id for message in messages]
    async with reading(settings, lambda topic: topic == "runs") as past:
        held = [
            dict(found.headers)["ce_id"].decode()
            for partition in past.partitions["runs"]
            async for found in past.between(partition, *await past.bounds(partition))
        ]
    assert held == seen
