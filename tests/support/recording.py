"""The archivist in the test's own process, and records of the log that it reads."""

from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry

from schemas.approval import HumanDecided
from schemas.log import JournalWritten
from schemas.question import Reply
from schemas.stop import WorkStopped
from services.archivist.recording import Recorder
from shared import bus
from shared.archive import OUTAGES
from shared.audit import AuditStore, Draft, Place
from shared.audit.store import Recorded
from shared.audit.tables import PARTITIONED, TABLES
from shared.bus import Deliverer, KeyedConsumer, encode, encode_lean, publish
from shared.bus.groups import ARCHIVIST, RECORDED
from shared.bus.observer import Observer
from shared.service import Parts
from shared.service.outages import through_outages
from shared.telemetry.metrics import Metrics
from tests.support.remembering import until

START = datetime(2026, 10, 5, 9, tzinfo=UTC)
REPLY = {"content": None, "tool_requests": [], "finish_reason": "stop", "model": "m1", "seconds": 1.5, "usage": {}}


def draft(n: int, tenant="acme", **values) -> Draft:
    """A draft, a minute after the one before."""
    given = {"kind": "tool_call", "name": "send_email", "contents": {"arguments": f"text {n}"}} | values
    return Draft(tenant=tenant, at=START + timedelta(minutes=n), **given)


def recorded(first: int, number: int, **values) -> list[Recorded]:
    """Records of one row each."""
    return [Recorded(Place("journal", 0, n), [draft(n, **values)]) for n in range(first, first + number)]


def raw(record, offset=0, at=START) -> ConsumerRecord:
    """A record as a consumer gets it."""
    headers = [(name, value.encode()) for name, value in record.headers.items()]
    value, milliseconds = record.value.encode(), int(at.timestamp() * 1_000)
    return ConsumerRecord(
        record.topic, 0, offset, milliseconds, 0, record.key.encode(), value, None, 0, len(value), headers
    )


def journaled(run: str, name="think/turn-1", *, agent="data", tenant="acme", of=None, entry=None):
    """A record of the journal; by default a model's reply."""
    reply = {"added": [{"role": "user", "content": "hello"}], "reply": REPLY, "try": 1}
    written = JournalWritten(tenant=tenant, work_id=f"{run}/s1/1", epoch=1, name=name, entry=entry or reply, of=of)
    return encode_lean(written, key=run, source=f"waggle/{agent}", prefix="")


def message(what, key: str):
    """A record of a message."""
    return encode(what, id=f"{key}-1", source="/gateway", prefix="", now=START, key=key)


def decided(run: str, by="Ada"):
    """A record of a decision."""
    about = {"run_id": run, "tenant": "acme", "by": by}
    return message(HumanDecided(**about, request_id="q1", decision="approve", reply=Reply.APPROVE), run)


def stopped(scope="tenant:acme"):
    """A record of the kill switch."""
    return message(WorkStopped(scope=scope, by="Ada", reason="a test", at=START), scope)


async def emptied(dsn: str) -> AuditStore:
    """Return a store whose tables are new."""
    found = AuditStore(dsn)
    await through_outages(partial(_prepared, found), OUTAGES)
    async with found.door.owner() as connection:
        await connection.execute(f"DROP TABLE {', '.join(TABLES)}, audit_tenants CASCADE")
    await found.close()
    found = AuditStore(dsn)
    await through_outages(partial(_prepared, found), OUTAGES)
    return found


async def _prepared(store: AuditStore) -> None:
    """Connect, which takes a busy machine longer than a caller waits."""
    await store.tenants()


async def rows_of(store: AuditStore, tenant="acme"):
    """Return all rows of a tenant, in the order of the chain."""
    async with store.door.of(tenant) as connection:
        return await connection.fetch("SELECT * FROM audit_records WHERE tenant = $1 ORDER BY number", tenant)


async def tamper(store: AuditStore, statement: str, *arguments) -> None:
    """Change the tables as a superuser who switches their protection off."""
    async with store.door.owner() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement, *arguments)


@asynccontextmanager
async def recording(settings, sentinel, store: AuditStore):
    """Runs the archivist until the block ends."""
    settings = settings.model_copy(update={"max_in_flight": 256})
    broker, registry = bus.connect(settings, ARCHIVIST), CollectorRegistry()
    parts = Parts(ARCHIVIST, settings, registry, Metrics(registry), None, broker, sentinel, None, None, ())

    async def ready():
        pass

    deliver = Deliverer(
        broker=broker,
        service=ARCHIVIST,
        prefix=settings.topic_prefix,
        handle=ready,
        on_dead=ready,
        outages=bus.OUTAGES,
        ready=ready,
        metrics=parts.metrics,
    )
    topics = [settings.topic_prefix + each for each in RECORDED]
    observer = Observer(deliver, frozenset(), Recorder(parts, store).watch)
    consumer = KeyedConsumer(broker, topics, settings.topic_prefix + ARCHIVIST, observer, settings)
    await broker.start()
    consumer.start()
    await until(lambda: consumer.joined)
    try:
        yield parts
    finally:
        await consumer.stop(grace=5.0)
        await broker.stop()


async def write(broker, settings, records: Sequence) -> None:
    """Publish records on the test's own topics."""
    await publish(broker, [each.model_copy(update={"topic": settings.topic_prefix + each.topic}) for each in records])


__all__ = ["PARTITIONED", "draft", "emptied", "journaled", "raw", "recorded", "recording", "rows_of", "tamper", "write"]
