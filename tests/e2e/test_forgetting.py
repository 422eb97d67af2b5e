"""Forgetting in the whole swarm: a run is searched for in dumps of every store, and another run stays as it was."""

import asyncio
import json
import os
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from infra.embedded.stack import service_names
from schemas.approval import CancelRun
from schemas.forgetting import Forgetting
from shared import bus
from shared.blackboard import Sentinel
from shared.bus.admin.topic_reader import reading
from shared.config import Settings, settings_of
from shared.memory import MemoryStore, Selection
from shared.service.rebuild import rebuild
from tests.conftest import ROOT, started
from tests.e2e.test_answers import decide, question_of
from tests.support.dumps import of_folder, of_kafka, of_postgres, of_redis, places_of
from tests.support.swarm import result_of, scripted, submit

pytestmark = pytest.mark.broker

CHANNELS = """
[channels.people]
kind = "mail"
to = ["approvers@example.org"]

[[subscriptions]]
events = ["question", "dead_letter"]
channels = ["people"]
"""
FINAL = {"facts": [], "sources": [], "confidence": 0.9, "caveats": []}
KEPT_BY_OTHERS = ("mailbox", "redis")
"""Mail that was sent, and the files of Redis, which it rewrites as they grow."""
SEALED_IN = {"tasks", "runs.log", "journal", "agents.research", "runs", "decisions", "memories", "notifications"}
"""Topics in which words of a run are."""
IN_THE_CLEAR = "kafka results/"
"""Read by callers; deleted on Apache Kafka once a group has passed it, and gone with the embedded broker."""


@pytest.fixture(scope="module")
async def sealing(kafka, model, tmp_path_factory):
    """A swarm that seals, notifies and extracts facts at once."""
    folder = tmp_path_factory.mktemp("sealing")
    (folder / "notify.toml").write_text(CHANNELS)
    given = {"WAGGLE_KAFKA": kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}
    given |= {"WAGGLE_SEAL": "true", "WAGGLE_NOTIFY": str(folder / "notify.toml"), "WAGGLE_MEMORY_FACTS_IDLE": "0.5"}
    async with started(folder / "stack", os.environ | given, service_names(ROOT)) as stack:
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


@pytest.fixture
async def dump(sealing, here):
    """A function that dumps every store, and all that processes have written to the folder of the stack."""

    async def everything() -> dict[str, bytes]:
        found = await of_kafka(here.kafka, here.topic_prefix) | of_folder(sealing.state.path, but=KEPT_BY_OTHERS)
        return found | await of_redis(here.redis) | await of_postgres(here.postgres)

    return everything


async def readable(here, mark: str, wanted=lambda _: True) -> set[str]:
    """The topics in which a reader with the keys of runs finds the mark."""
    found = set()
    async with reading(here, wanted) as reader:
        assigned = {topic: each for topic, each in reader.partitions.items() if wanted(topic)}
        places = [(topic, each) for topic, partitions in assigned.items() for each in partitions]
        everywhere = [each for _, each in places]
        first, end = await reader.consumer.beginning_offsets(everywhere), await reader.consumer.end_offsets(everywhere)
        for topic, each in places:
            async for record in reader.between(each, first[each], end[each]):
                whole = (record.value or b"") + b"".join(value or b"" for _, value in record.headers)
                found |= {topic} if mark.encode() in whole else set()
    return found


async def stored(gateway, text: str) -> dict:
    """A file, as a task names it."""
    about = {"params": {"name": "notes.txt"}, "headers": {"Content-Type": "text/plain"}}
    answer = await gateway.post("/v1/files", content=text, **about)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def talk(gateway, model, mark: str, about: dict | None = None, **more) -> str:
    """A run with the mark in all that is said: the task and its file, what a tool read, the board, a question with its
    answer, a message to the run, replies of the model and the result."""
    read = {"name": "read_document", "arguments": {"document": "notes.txt"}}
    post = {"kind": "finding", "key": "bird", "content": f"seen: {mark}", "reason": f"it is {mark}"}
    question = {"question": f"Which year, {mark}?", "options": ["2025", "2026"]}
    turns = [[read, {"name": "post_to_board", "arguments": post}], [{"name": "ask_person", "arguments": question}]]
    when = {"agent": "research", "objective": mark}
    final = {"json": FINAL | {"answer": f"It is {mark}."}}
    await scripted(model, {"when": when | {"text": f"2026, {mark}", "turn": 2}, "reply": final})
    for number, calls in enumerate(turns):
        await scripted(model, {"when": when | {"turn": number}, "times": 1, "reply": {"calls": calls}})
    file = await stored(gateway, f"the file has {mark}")
    objective = f"My favourite bird is {mark}. Find it."
    context = {"attachments": [file], "data": about or {}}
    run_id = await submit(gateway, objective, shape="single", agent="research", context=context, **more)
    asked = await question_of(gateway, run_id)
    said = await gateway.post(f"/v1/runs/{run_id}/messages", json={"text": f"It sings, {mark}.", "by": "eva"})
    assert said.status_code == 202, said.text
    await decide(gateway, run_id, asked, "respond", answer=f"2026, {mark}")
    result = await result_of(gateway, run_id)
    assert mark in result["answer"]
    return run_id


async def written(here, message, key: str, **changes) -> None:
    """Write a message to its topic, as services do."""
    broker = bus.connect(here, "test")
    await broker.start()
    named = {"id": uuid4().hex, "source": "/test", "prefix": here.topic_prefix, "now": datetime.now(UTC), "key": key}
    await bus.publish(broker, [bus.encode(message, **named).model_copy(update=changes)])
    await broker.stop()


async def dead_letter(here, run_id: str, mark: str) -> None:
    """Have a record of the run fail; return once it is a dead letter."""
    cancelled = CancelRun(run_id=run_id, tenant="acme", by="ada", reason="it is over")
    value = json.dumps({"run_id": run_id, "tenant": "acme", "words": mark})
    await written(here, cancelled, run_id, value=value, topic=f"{here.topic_prefix}decisions")
    async with asyncio.timeout(60):
        while not await readable(here, mark, "decisions.dlt".__eq__):
            await asyncio.sleep(0.2)


async def forget(gateway, tenant: str = "acme", **what) -> Forgetting:
    """Order it; return the report once the memory service has carried it out."""
    order = {"by": "ada", "reason": "she asked", "expected": 1_000, **what}
    given = await gateway.post("/v1/memories/forget", params={"tenant": tenant}, json=order)
    assert given.status_code == 202, given.text
    path = f"/v1/forgettings/{given.json()['forgetting']}"
    async with asyncio.timeout(60):
        while (found := await gateway.get(path, params={"tenant": tenant})).json().get("state") != "done":
            await asyncio.sleep(0.2)
    return Forgetting.model_validate(found.json())


async def remembered(here, mark: str) -> None:
    """Return once there are a memory of the run and a fact from it."""
    store, kinds = MemoryStore(here.postgres), set()
    async with asyncio.timeout(60):
        while kinds != {"episodic", "semantic"}:
            await asyncio.sleep(0.2)
            found = await store.select("acme", Selection(), most=1_000)
            kinds = {each.kind.value for each in found if mark in each.content}
    await store.close()


def but_results(places: set[str]) -> set[str]:
    return {each for each in places if IN_THE_CLEAR not in each}


@pytest.mark.timeout(300)
async def test_a_forgotten_run_is_in_no_store_and_others_are_as_they_were(gateway, model, here, sentinel, dump):
    gone, kept = f"heron{uuid4().hex}", f"otter{uuid4().hex}"
    other = await talk(gateway, model, kept)  # first, so that it recalls no memory of the other
    run_id = await talk(gateway, model, gone, idempotency_key=gone)
    await dead_letter(here, run_id, gone)
    await remembered(here, gone)
    assert await readable(here, gone) >= SEALED_IN | {"decisions.dlt", "results"}
    before = places_of(gone, await dump())
    assert {each.split("/")[0] for each in before} >= {"postgres memories", "postgres blobs"}
    assert {each.rpartition(":")[2] for each in before if each.startswith("redis ")} >= {"state", "events", "board"}
    assert not [each for each in but_results(before) if each.startswith("kafka")], "Kafka holds it sealed"
    report = await forget(gateway, run=run_id)
    assert report.runs == [run_id]
    left = sum(each.remaining for each in report.stores)
    found = places_of(gone, await dump())
    assert but_results(found) == set()
    assert await readable(here, gone) <= {"results"}
    assert len(found) == left, "the report names what stays"
    assert (await gateway.get(f"/v1/runs/{run_id}")).status_code == 404
    assert kept in (await gateway.get(f"/v1/runs/{other}/result")).json()["answer"]
    again = await gateway.post("/v1/tasks", json={"objective": gone, "idempotency_key": gone})
    assert (again.status_code, again.json()["error"]["code"]) == (410, "forgotten")
    await rebuild(sentinel, here)
    assert (await gateway.get(f"/v1/runs/{run_id}")).status_code == 404
    assert kept in (await gateway.get(f"/v1/runs/{other}/result")).json()["answer"]
    assert but_results(places_of(gone, await dump())) == set()


@pytest.mark.timeout(300)
async def test_runs_of_a_session_a_subject_and_a_tenant_are_forgotten_and_no_others(gateway, model, here, dump):
    session, subject, tenant, kept = (f"{name}{uuid4().hex}" for name in ("heron", "stork", "crane", "otter"))
    other = await talk(gateway, model, kept, session=f"talk-{kept}")  # first, as above
    await talk(gateway, model, session, session=f"talk-{session}")
    await talk(gateway, model, subject, about={"customer": f"customer {subject}"})
    async with httpx.AsyncClient(base_url=gateway.base_url, timeout=30, params={"tenant": "globex"}) as globex:
        await stored(globex, f"a file of no run about {tenant}")
        await talk(globex, model, tenant)
    await forget(gateway, session=f"talk-{session}")
    await forget(gateway, subject=f"customer {subject}")
    await forget(gateway, tenant="globex", everything=True)
    found = await dump()
    for each in (session, subject, tenant):
        assert but_results(places_of(each, found)) == set()
    assert any(each.startswith("redis ") for each in places_of(kept, found))
    assert kept in (await gateway.get(f"/v1/runs/{other}/result")).json()["answer"]
