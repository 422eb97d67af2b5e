"""Records of runs that are sealed on a real broker, as Kafka holds them and as readers see them."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.log import JournalWritten
from schemas.message import Message
from shared import bus
from shared.archive.run_keys import RunKeys
from shared.bus import Record, encode, publish
from shared.bus.admin import stream
from shared.bus.keyring import Clear, Keyring
from shared.runs import run_id_for
from tests.support.consuming import consuming, question

RUN, OTHER = run_id_for("acme", "one"), run_id_for("acme", "two")
SECRET = "the-heron-nests-at-dusk"


def entry(run: str, text: str = SECRET):
    """A journal entry of the run, as agents write it."""
    return JournalWritten(tenant="acme", work_id=f"{run}/a/1", epoch=1, name="turn-1", entry={"reply": text})


def record(message: Message, settings, run: str = RUN):
    return encode(
        message,
        id=f"{run}/{message.wire_type()}",
        source="/test",
        prefix=settings.topic_prefix,
        now=datetime.now(UTC),
        key=run,
    )


def ask(run: str):
    return question(1, run).model_copy(update={"tenant": "acme", "question": SECRET})


async def written(settings, topic: str) -> list:
    """Every record of the topic as Kafka holds it."""
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topic,
        bootstrap_servers=settings.kafka,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found, partitions = [], consumer.assignment()
    ends = await consumer.end_offsets(partitions)
    for each in partitions:
        while await consumer.position(each) < ends[each]:
            found += (await consumer.getmany(each, timeout_ms=200)).get(each, [])
    await consumer.stop()
    return found


async def read(settings, topic: str) -> list:
    """Every record of the topic as readers see it."""
    return [each async for batch in stream(settings, topic) for each in batch]


@asynccontextmanager
async def collecting(settings, **given):
    """The runs whose records were handled."""
    seen: list[str] = []

    async def handle(delivery):
        seen.append(delivery.message.run_id)

    async with consuming(settings, handle, **given) as (_, consumer):
        yield seen, consumer


async def filled(settings, *runs: str) -> None:
    """Write a record of each run."""
    broker = bus.connect(settings, "writer")
    await broker.start()
    for each in runs:
        await publish(broker, [record(ask(each), settings, each)])
    await broker.stop()


async def put(settings, topic: str, *records: Record, keyring: Keyring | None = None) -> None:
    """Write sealed records to partition 0 of a topic, in order."""
    ring = keyring or Keyring(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    clear = [Clear(each.topic, each.key, each.headers, each.value.encode()) for each in records]
    for each, sealed in zip(records, await ring.sealed(clear), strict=True):
        headers = [(name, value.encode()) for name, value in sealed.headers.items()]
        await producer.send_and_wait(settings.topic_prefix + topic, sealed.value, each.key.encode(), 0, headers=headers)
    await producer.stop()
    if keyring is None:
        await ring.close()


async def lose(keys: RunKeys, *runs: str) -> None:
    """Remove the keys of these runs from the database, as a failover to a standby that lags may do."""
    async with (await keys._connected()).acquire() as connection:
        await connection.execute("DELETE FROM run_keys WHERE run = ANY($1::text[])", list(runs))


async def restored(keys: RunKeys, run: str, key: bytes) -> None:
    """Restore a key from a backup."""
    await keys.add({run: "acme"}, {run: key})
