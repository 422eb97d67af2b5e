"""Batches written to a partition byte for byte, as no client of good faith would."""

import asyncio
import struct
from functools import partial

from aiokafka import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.bus.codecs import LARGEST_UNPACKED

CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

_CRC, _ATTRIBUTES = 17, 21
"""Places in a batch's header. The checksum covers what comes after it."""


def batch(records, codec=0) -> bytearray:
    """A good one."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=LARGEST_UNPACKED * 2,
    )
    for offset, each in enumerate(records):
        headers = [(name, value.encode()) for name, value in each.headers.items()]
        builder.append(offset, timestamp=1, key=each.key.encode(), value=each.value.encode(), headers=headers)
    return builder.build()


def sealed(spoilt: bytearray) -> bytes:
    """With a checksum that fits."""
    struct.pack_into(">I", spoilt, _CRC, calc_crc32c(memoryview(spoilt)[_ATTRIBUTES:]))
    return bytes(spoilt)


def broken_checksum(records) -> bytes:
    """A bit has flipped on its way."""
    spoilt = batch(records)
    spoilt[-1] ^= 1
    return bytes(spoilt)


def unknown_codec(records) -> bytes:
    """Use a codec that no client supports yet."""
    spoilt = batch(records)
    struct.pack_into(">h", spoilt, _ATTRIBUTES, 7)
    return sealed(spoilt)


def not_what_it_says(records, codec=4) -> bytes:
    """Said to be compressed, which it is not."""
    spoilt = batch(records)
    struct.pack_into(">h", spoilt, _ATTRIBUTES, codec)
    return sealed(spoilt)


def header_that_is_no_text(records) -> bytes:
    """A header's name is no UTF-8."""
    return sealed(bytearray(bytes(batch(records)).replace(b"ce_id", b"\xff\xfe_id")))


def small_but_huge(records, codec) -> bytes:
    """Small on its way, and more than a process can hold when it is unpacked."""
    huge = " " * (LARGEST_UNPACKED // len(records))
    return bytes(batch([each.model_copy(update={"value": each.value + huge}) for each in records], codec))


SPOILT = {
    "checksum": broken_checksum,
    "codec": unknown_codec,
    "gzip": lambda records: not_what_it_says(records, 1),
    "snappy": lambda records: not_what_it_says(records, 2),
    "lz4": lambda records: not_what_it_says(records, 3),
    "zstd": not_what_it_says,
    "header": header_that_is_no_text,
    **{f"huge-{codec}": partial(small_but_huge, codec=number) for number, codec in CODECS.items()},
}


async def write(settings, topic: str, partition: int, *batches: bytes) -> int:
    """Write them, one request each, and return the offset of the last one's first record."""
    client = AIOKafkaClient(bootstrap_servers=settings.kafka)
    await client.bootstrap()
    try:
        name = settings.topic_prefix + topic
        await client.set_topics([name])
        leader = next(iter(client.cluster.brokers())).nodeId
        for each in batches:
            offset = await _write(client, leader, name, partition, each)
        return offset
    finally:
        await client.close()


async def _write(client, leader, name, partition, each) -> int:
    """A topic made a moment ago may be unknown or without a leader."""
    async with asyncio.timeout(20):
        while True:
            answer = await client.send(leader, ProduceRequest(None, -1, 5_000, [(name, [(partition, each)])]))
            [(_, [(_, code, offset, *_)])] = answer.topics
            if code == 0:
                return offset
            assert code in {3, 5, 6}, code
            await asyncio.sleep(0.1)
