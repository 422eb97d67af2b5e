"""Topics, agents, checks and the overview in the console, in front of a real gateway, broker and Redis."""

from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from schemas.task import Task
from shared.blackboard import RunStore, announce
from shared.bus import encode
from tests.support.console import HOSTILE, Keys, Visit, console_for, said, waits
from tests.support.gateway_fixtures import AGENTS, begin, cancel, serving

pytestmark = pytest.mark.broker


@pytest.fixture
async def gateway(settings, topics, redis):
    await announce(redis, AGENTS["data"])
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def visit(settings, gateway):
    async with console_for(settings, str(gateway.base_url)) as client:
        yield Visit(client)


@pytest.fixture
async def written(settings, topics):
    """Three tasks in one partition, the last one no message of ours."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        topic = settings.topic_prefix + "tasks"
        for number in range(2):
            task = Task(objective=f"count {number} {HOSTILE}".replace("\x00", ""), tenant="shop")
            record = encode(task, id=f"t-{number}", source="/shop", prefix="", now=datetime.now(UTC))
            headers = [(name, value.encode()) for name, value in record.headers.items()]
            await producer.send_and_wait(topic, record.value.encode(), b"k", 0, headers=headers)
        await producer.send_and_wait(topic, b'{"token": "secret-token", "x": "\xff"}', None, 0)


async def test_a_topic_shows_its_partitions_and_its_newest_records(visit, written, gateway, settings):
    assert f"{settings.topic_prefix}tasks" in (await visit.open("/topics")).text
    page = said((await visit.open("/topics/tasks?partition=0")).text)
    for words in ("Partitions", "Lag by group", "Offset 2", "waggle.task.v1", "/shop", "ce_specversion"):
        assert words in page
    assert "count 1" not in page
    shown = (await visit.open("/topics/tasks?partition=0&contents=1")).text
    assert "count 1" in shown
    assert "&lt;script" in shown
    assert "secret-token" not in shown
    older = said((await visit.open("/topics/tasks?partition=0&before=1&contents=1")).text)
    assert "count 0" in older
    assert "count 1" not in older
    audit = (await gateway.get("/v1/audit")).json()["accesses"]
    assert [(each["kind"], each["what"]) for each in audit] == [("topic", "tasks/0 0-0"), ("topic", "tasks/0 0-2")]


async def test_the_lag_of_a_partition_is_that_of_its_group(gateway, written):
    detail = (await gateway.get("/v1/topics/tasks")).json()
    zero = detail["partitions"][0]
    assert (zero["first"], zero["end"]) == (0, 3)
    assert zero["lag"] == dict.fromkeys(detail["groups"], 3)
    assert detail["groups"]
    assert (await gateway.get("/v1/topics/timers")).json()["partitions"][0]["lag"] == {}, "its group commits nothing"


async def test_an_unknown_topic_or_partition_is_not_found(visit, gateway):
    assert (await visit.open("/topics/nothing")).status_code == 404
    assert (await visit.open("/topics/tasks?partition=999")).status_code == 404
    assert (await gateway.get("/v1/topics/tasks/partitions/0/records", params={"limit": 21})).status_code == 422
    assert "There are no records here" in (await visit.open("/topics/tasks?partition=0&before=0")).text


async def test_records_show_no_contents_to_a_key_without_the_role(settings, topics, redis, tmp_path, written):
    keys = Keys(tmp_path / "keys.toml")
    keys.add("op", ["operator"])
    async with serving(settings, principals=keys.path) as gateway, console_for(settings, str(gateway.base_url)) as http:
        visit = Visit(http)
        await visit.log_in(keys.keys["op"])
        page = (await visit.open("/topics/tasks?partition=0&contents=1")).text
    assert "may not see contents" in page
    assert "count 1" not in page


async def test_agents_are_shown_with_their_stops(visit, gateway):
    assert "No agent" not in (await visit.open("/agents")).text
    await gateway.put("/v1/stops/agent:data", json={"by": "ann", "reason": "it loops"})
    for _ in range(50):
        page = said((await visit.open("/agents")).text)
        if "Stopped by ann" in page:
            break
    assert "it loops" in page


async def test_the_checks_name_what_is_missing_and_hide_addresses(visit, settings):
    page = said((await visit.open("/doctor")).text)
    for words in (
        "Redis",
        "Kafka",
        "archive (Postgres)",
        "not announced: planner, writer, reviewer",
        "no keys are required",
    ):
        assert words in page
    assert settings.redis not in page
    assert settings.postgres not in page


async def test_a_store_that_is_gone_fails_its_check_alone(settings, topics, redis):
    gone = settings.model_copy(update={"postgres": "postgresql://waggle:secret@127.0.0.1:1/waggle"})
    async with serving(gone) as gateway:
        checks = {each["subject"]: each for each in (await gateway.get("/v1/checks")).json()}
    assert checks["archive (Postgres)"]["verdict"] == "fail"
    assert checks["Redis"]["verdict"] == checks["Kafka"]["verdict"] == "ok"
    assert "secret" not in str(checks)


async def test_a_state_that_there_is_not_is_refused_with_those_that_there_are(visit, sentinel):
    await begin(RunStore(sentinel, ttl=60), "run-a")
    answer = await visit.open("/runs?state=faild")
    assert answer.status_code == 422
    assert "one of" in answer.text
    assert "run-a" not in answer.text
    order = await visit.open("/run-orders/cancel?state=faild")
    assert "run-a" not in order.text
    assert "one of" in order.text
    assert "run-a" in (await visit.open("/runs?state=executing")).text


async def test_the_overview_counts_all_runs_by_state(visit, sentinel):
    store = RunStore(sentinel, ttl=60)
    await begin(store, "run-a")
    await begin(store, "run-b")
    await cancel(store, "default", "run-b")
    await waits(store, "run-c", "Send the mail?")
    page = said((await visit.open("/")).text)
    assert "1 running 1 waiting for a person" in page
    assert "3 runs of tenant default in all" in page
    assert "1 cancelled" in page
    assert "spent today" in page
    assert "messages behind" in page
