"""Credentials and TLS, against real servers that admit no client without them."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import CollectorRegistry

from infra import topics as declared_topics
from schemas.step import HelpAsked
from shared import bus
from shared.bus import Deliverer, Erased, KeyedConsumer, TombstoneWriter, encode, publish, publish_once
from shared.bus.admin import await_kafka, read_topic, topics_with_lag
from shared.bus.dead import redriver
from shared.bus.security import connection, secured
from shared.config import Settings
from shared.errors import Misconfigured
from shared.telemetry.metrics import Metrics
from tests.support.secured_servers import (
    PASSWORD,
    USER,
)

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]
WRONG = "not-the-password"


def sasl(guarded, made, listener="SASLTLS", **changes):
    tls = {"kafka_ca": made.ca} if listener == "SASLTLS" else {}
    return Settings(
        **{
            "kafka": guarded[listener],
            "kafka_security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "SCRAM-SHA-512",
            "kafka_username": USER,
            "kafka_password": PASSWORD,
            "topic_prefix": f"t{uuid4().hex[:8]}.",
            **tls,
            **changes,
        }
    )


def tls(guarded, made, listener="TLS", pair=None, **changes):
    own = {"kafka_certificate": pair.certificate, "kafka_key": pair.key} if pair else {}
    given = {"kafka": guarded[listener], "kafka_security_protocol": "SSL", "kafka_ca": made.ca, **own, **changes}
    return Settings(topic_prefix=f"t{uuid4().hex[:8]}.", **given)


WAYS = {
    "scram-512 over tls": sasl,
    "scram-256 over tls": lambda g, m: sasl(g, m, kafka_sasl_mechanism="SCRAM-SHA-256"),
    "plain over tls": lambda g, m: sasl(g, m, kafka_sasl_mechanism="PLAIN"),
    "scram without tls": lambda g, m: sasl(g, m, "SASLONLY"),
    "tls": tls,
    "mutual tls": lambda g, m: tls(g, m, "MUTUAL", m.client),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_with_the_right_credentials_every_connection_to_kafka_works(guarded, made, way):
    settings = way(guarded, made)
    await await_kafka(settings, 10.0)
    prefix = settings.topic_prefix
    await declared_topics.create(settings.kafka, prefix, declared_topics.declared(), secured=secured(settings))
    handled = asyncio.Event()

    async def handle(delivery):
        handled.set()

    async def nothing(*_):
        pass

    def question(number):
        asked = HelpAsked(id=number, run_id="run-1", tenant="default", agent="data", handoff_id="h", question="?")
        return encode(asked, id=number, source="/test", prefix=prefix, now=datetime.now(UTC))

    broker = bus.connect(settings, "test")
    deliver = Deliverer(
        broker=broker,
        service="test",
        prefix=prefix,
        handle=handle,
        on_dead=nothing,
        outages=bus.OUTAGES,
        ready=nothing,
        metrics=Metrics(CollectorRegistry()),
    )
    consumer = KeyedConsumer(broker, [prefix + "runs"], prefix + "orchestrator", deliver, settings)
    await broker.start()
    consumer.start()
    await publish(broker, [question("a")])
    await asyncio.wait_for(handled.wait(), 20)
    await consumer.stop(1.0)
    await broker.stop()
    await publish_once(settings, question("b"))
    assert [len(records) async for records in read_topic(settings, "runs") if records] == [2]
    async with asyncio.timeout(10):
        lag = {
            each.topic: each for each in await topics_with_lag(settings, {prefix + "runs": [prefix + "orchestrator"]})
        }
    assert lag[prefix + "runs"].groups[0].lag == 1  # the first was committed
    eraser = TombstoneWriter(settings)
    await eraser.start()
    await eraser.erase([Erased(prefix + "timers", "none", 0)])
    await eraser.close()
    async with redriver(settings, None) as desk:
        assert desk.letters.reader.partitions["runs"]
    async with AIOKafkaConsumer(**connection(settings)) as plain:
        assert prefix + "runs" in await plain.topics()


REFUSED = {
    "wrong password": (lambda g, m: sasl(g, m, kafka_password=WRONG), "WAGGLE_KAFKA_PASSWORD"),
    "unknown user": (lambda g, m: sasl(g, m, kafka_username="nobody"), "WAGGLE_KAFKA_USERNAME"),
    "wrong plain password": (
        lambda g, m: sasl(g, m, kafka_sasl_mechanism="PLAIN", kafka_password=WRONG),
        "WAGGLE_KAFKA_PASSWORD",
    ),
    "wrong authority": (lambda g, m: sasl(g, m, kafka_ca=m.strange_ca), "WAGGLE_KAFKA_CA"),
    "no authority": (lambda g, m: tls(g, m, kafka_ca=None), "WAGGLE_KAFKA_CA"),
    "expired certificate": (lambda g, m: tls(g, m, "EXPIRED"), "expired"),
    "certificate of another host": (lambda g, m: tls(g, m, "OTHERHOST"), "Name the server in WAGGLE_KAFKA"),
    "no client certificate": (lambda g, m: tls(g, m, "MUTUAL"), "WAGGLE_KAFKA_CERTIFICATE"),
    "strange client certificate": (lambda g, m: tls(g, m, "MUTUAL", m.strange_client), "WAGGLE_KAFKA_CERTIFICATE"),
}


@pytest.mark.parametrize(("way", "said"), REFUSED.values(), ids=REFUSED)
async def test_refused_by_kafka_the_error_names_the_setting_to_correct_at_once(guarded, made, way, said):
    began = time.monotonic()
    with pytest.raises(Misconfigured, match=said) as refused:
        await await_kafka(way(guarded, made), 30.0)
    assert time.monotonic() - began < 6
    assert PASSWORD not in str(refused.value)
    assert WRONG not in str(refused.value)


@pytest.mark.parametrize(
    "way",
    [
        lambda g, m: Settings(kafka=g["SASLTLS"]),
        lambda g, m: Settings(kafka=g["SASLONLY"]),
        lambda g, m: tls(g, m, "SASLONLY"),
    ],
    ids=["plain to tls", "plain to sasl", "tls to plain"],
)
async def test_a_protocol_mismatch_is_reported_with_a_question_about_the_setting(guarded, made, way):
    with pytest.raises(ConnectionError, match="WAGGLE_KAFKA_SECURITY_PROTOCOL"):
        await await_kafka(way(guarded, made), 2.0)
