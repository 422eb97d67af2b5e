"""Bytes that Redis and Kafka hold for recorded turns of 1 KiB."""

from uuid import uuid4

from schemas.log import JournalWritten
from shared import bus
from shared.blackboard import Journal, Sentinel, keys
from shared.bus import encode_lean, publish
from shared.bus.admin import read_topic
from tests.bench.stage import Stage
from tests.bench.table import Row

KIB = 1024
RECORD_OVERHEAD = 12
"""Bytes Kafka adds to a record inside a batch, at most: lengths and deltas as varints (KIP-98)."""


async def stored(stage: Stage, counts: tuple[int, ...]) -> list[Row]:
    """One journal with so many turns, through the same code as an agent's."""
    await stage.fresh()
    sentinel = Sentinel(stage.redis)
    await sentinel.renew(1)
    broker = bus.connect(stage.settings(), "bench")
    await broker.start()
    rows: list[Row] = []
    for count in counts:
        run = f"run-{uuid4().hex}"
        work = f"{run}/s1/3"

        async def keep(name: str, epoch: int, entry: object, of: object, run: str = run, work: str = work) -> None:
            written = JournalWritten(tenant="default", work_id=work, epoch=epoch, name=name, entry=entry, of=of)
            record = encode_lean(written, key=run, source="waggle/data", prefix=stage.prefix)
            await publish(broker, [record])

        journal = await Journal(sentinel, "default", work, 600, keep).open()
        for number in range(count):
            await journal.write(f"think-1/turn-{number}", uuid4().hex * 32)
        in_redis = await sentinel.own.memory_usage(keys.journal("default", work), samples=0)
        in_kafka = await _kafka_bytes(stage, run)
        for store, size in (("Redis", in_redis), ("Kafka", in_kafka)):
            ratio = size / (count * KIB)
            aim = {"target": "≤ 1.3", "reached": ratio <= 1.3} if count == max(counts) else {}
            rows.append(Row(f"bytes in {store}, {count} turns of 1 KiB", size, "bytes", count * KIB, ratio, **aim))
    await broker.stop()
    await sentinel.close()
    return rows


async def _kafka_bytes(stage: Stage, run: str) -> int:
    """Uncompressed, as a consumer is given them, with what Kafka adds to each."""
    total = 0
    async for records in read_topic(stage.settings(), "journal"):
        for record in records:
            if record.key == run.encode():
                headers = sum(len(name) + len(value or b"") + 2 for name, value in record.headers)
                total += len(record.key) + len(record.value or b"") + headers + RECORD_OVERHEAD
    return total
