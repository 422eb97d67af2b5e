"""Decisions in a swarm with keys: only one that a person who may decide has signed sends the mail, and once."""

import asyncio
import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.conftest import started
from tests.support.approvals import mails_to
from tests.support.signers import Signers, attributes, decision
from tests.support.swarm import submit

SIX = [f"signed{number}@example.org" for number in range(6)]


@pytest.fixture(scope="module")
def signers(tmp_path_factory):
    return Signers(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
async def swarm(own_kafka, model, signers, tmp_path_factory):
    """The services a mail needs, with keys."""
    given = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "x"}
    given |= {"WAGGLE_KEYS": str(signers.file), "WAGGLE_SIGNING_KEY": signers.secret}
    services = ["gateway", "orchestrator", "timekeeper", "communication"]
    async with started(tmp_path_factory.mktemp("keyed"), os.environ | given, services) as stack:
        yield stack


@pytest.fixture
async def gateway(swarm, signers):
    url, headers = swarm.endpoints["WAGGLE_GATEWAY"], signers.bearer("ada@example.com")
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, headers=headers) as client:
        yield client


async def asking(gateway, readers) -> tuple[str, dict]:
    """A run that waits for a person, and its question."""
    objective = f"Write a short note on tides and mail it to {', '.join(readers)}"
    run_id = await submit(gateway, objective, shape="single", agent="communication")
    async with asyncio.timeout(90):
        while not (asked := (await gateway.get(f"/v1/runs/{run_id}")).json()["waiting_for"]):
            await asyncio.sleep(0.1)
    return run_id, asked


async def waits(gateway, run_id: str, request_id: str) -> bool:
    waiting = (await gateway.get(f"/v1/runs/{run_id}")).json()["waiting_for"]
    return bool(waiting) and waiting["request_id"] == request_id


async def sent_to(swarm, address: str) -> int:
    async with asyncio.timeout(90):
        while not mails_to(swarm, address):
            await asyncio.sleep(0.1)
    return len(mails_to(swarm, address))


class Desk:
    """Publishes decisions as any program may, and reads the dead letters they become."""

    def __init__(self, swarm, kafka):
        self.prefix, self.kafka = swarm._environment["WAGGLE_TOPIC_PREFIX"], kafka

    async def send(self, message, headers: dict[str, str], value: bytes | None = None) -> None:
        raw = [(name, each.encode()) for name, each in headers.items()]
        async with AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all") as producer:
            content = message.written().encode() if value is None else value
            await producer.send_and_wait(f"{self.prefix}decisions", content, message.run_id.encode(), headers=raw)

    async def refused(self, count: int) -> list[str]:
        """The codes of the first so many."""
        topic, found = f"{self.prefix}decisions.dlt", []
        async with (
            AIOKafkaConsumer(topic, bootstrap_servers=self.kafka, auto_offset_reset="earliest") as consumer,
            asyncio.timeout(60),
        ):
            while len(found) < count:
                found.append(dict((await consumer.getone()).headers)["dlt-error"].decode())
        return found


async def test_only_what_a_person_who_may_decide_has_signed_sends_the_mail_and_it_does_so_once(
    swarm, gateway, signers, own_kafka
):
    run_id, asked = await asking(gateway, SIX)
    digest, desk = asked["proposal"]["digest"], Desk(swarm, own_kafka)
    right = decision(run_id, asked["request_id"], digest=digest)
    elsewhere = decision(run_id, "another-request", digest=digest)
    other_call = decision(run_id, asked["request_id"], digest="0" * 64)
    await desk.send(right, attributes(right))
    await desk.send(right, signers.headers(right, key="bob"))
    await desk.send(right, signers.headers(elsewhere))
    await desk.send(right, signers.headers(other_call))
    for name in ("bob", "eve"):
        order = right.model_copy(update={"by": name})
        await desk.send(order, signers.headers(order))
    vouched = right.model_copy(update={"by": "bob"})
    await desk.send(vouched, signers.headers(vouched, signer="services/gateway"))
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    await desk.send(right, signers.headers(right, ce_id="old", ce_time=old))
    expected = {"unsigned": 1, "bad_signature": 3, "not_allowed": 3, "stale_signature": 1}
    assert Counter(await desk.refused(8)) == expected
    assert await waits(gateway, run_id, asked["request_id"])
    assert mails_to(swarm, SIX[0]) == []

    headers = signers.headers(right)
    for _ in range(3):
        await desk.send(right, headers)
    assert await sent_to(swarm, SIX[0]) == 1
    await desk.send(right, headers)
    await desk.send(right, signers.headers(right, ce_id="once-more"))
    await asyncio.sleep(2)
    assert len(mails_to(swarm, SIX[0])) == 1


async def test_a_person_who_decides_over_http_needs_no_key_to_sign_with_and_one_without_the_role_may_not(
    swarm, gateway, signers
):
    readers = [f"http-{each}" for each in SIX]
    run_id, asked = await asking(gateway, readers)
    body = {"request_id": asked["request_id"], "decision": "approve", "digest": asked["proposal"]["digest"]}
    path = f"/v1/runs/{run_id}/decisions"
    assert (await gateway.post(path, json=body, headers=signers.bearer("bob"))).status_code == 403
    assert (await gateway.post(path, json=body, headers=signers.bearer("eve"))).status_code == 403
    assert mails_to(swarm, readers[0]) == []
    assert (await gateway.post(path, json=body, headers=signers.bearer("system"))).status_code == 202
    assert await sent_to(swarm, readers[0]) == 1
    assert signers.secret not in swarm.state.endpoints.read_text()
    assert not any(signers.secret in log.read_text() for log in swarm.state.logs.glob("*.log"))
