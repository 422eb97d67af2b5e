"""Forgetting in the whole swarm: a run is searched for in dumps of every store, and another run stays as it was."""

import asyncio
import os
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from schemas.forgetting import Forgetting
from schemas.memory_log import ForgettingOrdered
from shared import bus
from shared.archive.forgettings import Forgettings
from shared.blackboard import Sentinel
from shared.config import Settings, settings_of
from shared.service.rebuild import rebuild
from tests.conftest import started
from tests.e2e.test_answers import decide, question_of
from tests.support.dumps import of_kafka, of_postgres, of_redis, places_of
from tests.support.swarm import result_of, scripted, submit

pytestmark = pytest.mark.broker

FINAL = {"facts": [], "sources": [], "confidence": 0.9, "caveats": []}
IN_THE_CLEAR = "kafka results/"
"""Read by callers; deleted on Apache Kafka once a group has passed it, and gone with the embedded broker."""


@pytest.fixture(scope="module")
async def sealing(kafka, model, tmp_path_factory):
    """A swarm that seals."""
    environment = os.environ | {"WAGGLE_KAFKA": kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}
    async with started(tmp_path_factory.mktemp("sealing"), environment | {"WAGGLE_SEAL": "true"}) as stack:
        yield stack


@pytest.fixture
async def gateway(sealing):
    async with httpx.AsyncClient(
        base_url=sealing.endpoints["WAGGLE_GATEWAY"], timeout=30, params={"tenant": "acme"}
    ) as client:
        yield client


@pytest.fixture
async def here(sealing):
    """The settings of that swarm."""
    return settings_of(sealing._environment | sealing.endpoints, Settings)


@pytest.fixture
async def sentinel(here):
    sentinel = Sentinel(here.redis)
    await sentinel.refresh()
    yield sentinel
    await sentinel.close()


async def dump(settings) -> dict[str, bytes]:
    found = await of_kafka(settings.kafka, settings.topic_prefix)
    return found | await of_redis(settings.redis) | await of_postgres(settings.postgres)


async def talk(gateway, model, mark: str, about: dict | None = None, **more) -> str:
    """A run with the mark in its task, file, model replies, question, answer, board and result."""
    question = {"name": "ask_person", "arguments": {"question": f"Which year, {mark}?", "options": ["2025", "2026"]}}
    when = {"agent": "research", "objective": mark}
    await scripted(
        model, {"when": when | {"text": "2026", "turn": 1}, "reply": {"json": FINAL | {"answer": f"It is {mark}."}}}
    )
    await scripted(model, {"when": when | {"turn": 0}, "times": 1, "reply": {"calls": [question]}})
    files = {"attachments": [{"name": "notes.txt", "text": f"the file has {mark}"}]}
    run_id = await submit(
        gateway, f"Find out {mark}", shape="single", agent="research", context=files | {"data": about or {}}, **more
    )
    asked = await question_of(gateway, run_id)
    await decide(gateway, run_id, asked, "respond", answer=f"2026, {mark}")
    result = await result_of(gateway, run_id)
    assert mark in result["answer"]
    return run_id


async def forget(here, **what) -> Forgetting:
    """Order it on the topic, as the gateway does; the report once the memory service has carried it out."""
    order = ForgettingOrdered(by="ada", at=datetime.now(UTC), **what)
    broker, ledger = bus.connect(here, "test"), Forgettings(here.postgres)
    await broker.start()
    named = {"id": uuid4().hex, "source": "/test", "prefix": here.topic_prefix, "now": order.at, "key": order.key}
    await bus.publish(broker, [bus.encode(order, **named)])
    await broker.stop()
    async with asyncio.timeout(60):
        while not (found := [each for each in await ledger.list(order.tenant, 1) if each.state == "done"]):
            await asyncio.sleep(0.2)
    await ledger.close()
    return found[0]


async def remembered(here, mark: str) -> set[str]:
    """The places that have the mark, once there is a memory of it."""
    async with asyncio.timeout(60):
        while True:
            found = places_of(mark, await dump(here))
            if any("postgres memories/" in each for each in found):
                return found
            await asyncio.sleep(0.5)


def but_results(places: set[str]) -> set[str]:
    return {each for each in places if IN_THE_CLEAR not in each}


async def test_a_forgotten_run_is_in_no_store_and_others_are_as_they_were(gateway, model, here, sentinel):
    gone, kept = f"heron{uuid4().hex}", f"otter{uuid4().hex}"
    other = await talk(gateway, model, kept)  # first, so that it recalls no memory of the other
    run_id = await talk(gateway, model, gone, idempotency_key=gone)
    before = await remembered(here, gone)
    assert any(each.startswith("redis ") for each in before)
    assert not [each for each in but_results(before) if each.startswith("kafka")], "Kafka holds it sealed"
    report = await forget(here, tenant="acme", run=run_id)
    assert report.runs == [run_id]
    left = sum(each.remaining for each in report.stores)
    found = places_of(gone, await dump(here))
    assert but_results(found) == set()
    assert len(found) == left, "the report names what stays"
    assert (await gateway.get(f"/v1/runs/{run_id}")).status_code == 404
    assert kept in (await gateway.get(f"/v1/runs/{other}/result")).json()["answer"]
    again = await gateway.post("/v1/tasks", json={"objective": gone, "idempotency_key": gone})
    assert (again.status_code, again.json()["error"]["code"]) == (410, "forgotten")
    await rebuild(sentinel, here)
    assert (await gateway.get(f"/v1/runs/{run_id}")).status_code == 404
    assert kept in (await gateway.get(f"/v1/runs/{other}/result")).json()["answer"]
    assert but_results(places_of(gone, await dump(here))) == set()


async def test_runs_of_a_session_a_subject_and_a_tenant_are_forgotten_and_no_others(gateway, model, here):
    session, subject, tenant, kept = (f"{name}{uuid4().hex}" for name in ("heron", "stork", "crane", "otter"))
    other = await talk(gateway, model, kept, session=f"talk-{kept}")  # first, as above
    await talk(gateway, model, session, session=f"talk-{session}")
    await talk(gateway, model, subject, about={"customer": f"customer {subject}"})
    async with httpx.AsyncClient(base_url=gateway.base_url, timeout=30, params={"tenant": "globex"}) as globex:
        stored = await globex.post(
            "/v1/files",
            params={"name": "notes.txt"},
            content=f"a file about {tenant}",
            headers={"Content-Type": "text/plain"},
        )
        assert stored.status_code == 201, stored.text
        await talk(globex, model, tenant)
    await forget(here, tenant="acme", session=f"talk-{session}")
    await forget(here, tenant="acme", subject=f"customer {subject}")
    await forget(here, tenant="globex", everything=True)
    found = await dump(here)
    for each in (session, subject, tenant):
        assert but_results(places_of(each, found)) == set()
    assert any(each.startswith("redis ") for each in places_of(kept, found))
    assert kept in (await gateway.get(f"/v1/runs/{other}/result")).json()["answer"]
