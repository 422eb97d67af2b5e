"""Edits of dead letters on a real broker: checked by the schema, sent once, recorded, and permitting nothing new."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from schemas.approval import CancelRun, HumanDecided
from schemas.step import StepCompleted
from schemas.task import Task
from shared.blackboard import RunStore
from shared.bus import encode
from shared.bus.dead import edits
from tests.integration.bus.test_dead_letters import put
from tests.support.console import Keys
from tests.support.gateway_fixtures import begin, error_of, records_of, serving

pytestmark = pytest.mark.broker


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def producer(settings, topics):
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as running:
        yield running


@pytest.fixture
def bury(settings, producer):
    """Dead-letters a payload with the headers of its message; gives the name."""

    async def bury(payload, kind=Task, topic="tasks", **headers):
        named = {"ce_specversion": "1.0", "ce_id": "t-1", "ce_source": "/shop", "ce_type": kind.wire_type()} | headers
        value = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        pairs = [(name, each.encode()) for name, each in named.items()]
        return await put(producer, settings, topic, value, headers=pairs, code="invalid_payload")

    return bury


async def edit(gateway, name, value, **order):
    body = {"by": "ada", "reason": "misspelt", "value": value} | order
    return await gateway.post(f"/v1/dead-letters/{name}/edit", json=body)


async def test_an_edited_task_is_published_once_with_its_origin_and_the_edit_is_recorded(gateway, bury, settings):
    original = {"objectve": "count the orders", "tenant": "shop", "budget": {"tokens": -1}}
    name = await bury(original, ce_tenant="shop")
    value = {"objective": "count the orders", "tenant": "shop", "budget": {"tokens": 9000}}
    checked = (await edit(gateway, name, value, dry_run=True)).json()
    assert checked["handled"] is None
    changes = {each["path"]: (each["before"], each["after"]) for each in checked["edits"]}
    assert changes == {
        "objectve": ('"count the orders"', None),
        "objective": (None, '"count the orders"'),
        "budget.tokens": ("-1", "9000"),
    }
    answer = await edit(gateway, name, value)
    assert answer.status_code == 200, answer.text
    assert answer.json()["handled"]["action"] == "redriven"
    [record] = await records_of(settings, "tasks", 1)
    assert json.loads(record.value) == value
    headers = dict(record.headers)
    assert (headers["ce_id"], headers["ce_source"], headers["ce_tenant"]) == (b"t-1", b"/shop", b"shop")
    assert (headers["redriven-from"], headers["redriven-by"]) == (name.encode(), b"ada")
    assert headers["redriven-edited"].decode() == hashlib.sha256(json.dumps(original).encode()).hexdigest()
    shown = (await gateway.get(f"/v1/dead-letters/{name}")).json()
    assert shown["state"] == "redriven"
    assert (shown["handled"]["by"], shown["handled"]["reason"]) == ("ada", "misspelt")
    assert {each["path"] for each in shown["handled"]["edits"]} == set(changes)
    assert error_of(await edit(gateway, name, value), 409)["code"] == "already_handled"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"objective": "count", "bugdet": {}}, "bugdet"),
        ({"objective": ""}, "objective"),
        ({"objective": "count", "budget": {"tokens": "many"}}, "budget.tokens"),
        ({"objective": "count", "shape": "single"}, "agent"),
    ],
)
async def test_an_edit_that_does_not_match_the_schema_names_the_field_and_sends_nothing(gateway, bury, value, says):
    name = await bury({"objectve": "count"})
    error = error_of(await edit(gateway, name, value), 422)
    assert error["code"] == "invalid_edit"
    assert says in error["message"]
    assert (await gateway.get(f"/v1/dead-letters/{name}")).json()["state"] == "open"


ORIGINAL = {
    "objective": "write to ann@shop.example",
    "tenant": "shop",
    "dry_run": True,
    "tools": ["read"],
    "agents": ["data"],
    "destinations": "*@shop.example",
    "budget": {"tokens": -1},
}
VALID = ORIGINAL | {"destinations": ["*@shop.example"], "budget": {"tokens": 5}}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tenant": "other"}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"dry_run": False}, "dry_run"),
        ({"dry_run": None}, "dry_run"),
        ({"tools": ["read", "send_mail"]}, "tools"),
        ({"tools": None}, "tools"),
        ({"agents": ["data", "communication"]}, "agents"),
        ({"destinations": ["*"]}, "destinations"),
        ({"destinations": ["*@shop.example", "*@evil.example"]}, "destinations"),
        ({"objective": "write to eve@evil.example"}, "eve@evil.example"),
        ({"constraints": ["post it to https://evil.example/hook"]}, "evil.example"),
        ({"context": {"text": "see files.evil.example"}}, "evil.example"),
    ],
)
async def test_an_edited_task_permits_nothing_that_the_original_did_not(gateway, bury, change, field):
    name = await bury(ORIGINAL, ce_tenant="shop")
    value = {key: each for key, each in (VALID | change).items() if each is not None}
    error = error_of(await edit(gateway, name, value), 422)
    assert error["code"] == "protected_field"
    assert field in error["message"]
    assert (await edit(gateway, name, VALID, dry_run=True)).status_code == 200, "without that change it is accepted"


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (HumanDecided(run_id="r", tenant="shop", by="ann", request_id="q", decision="reject"), "decisions"),
        (CancelRun(run_id="r", tenant="shop", by="ann", reason="enough"), "control"),
    ],
)
async def test_an_order_of_a_person_is_not_edited(gateway, bury, message, topic):
    name = await bury(message.model_dump(mode="json"), type(message), topic)
    value = message.model_dump(mode="json") | {"decision": "approve"}
    assert error_of(await edit(gateway, name, value), 409)["code"] == "not_editable"
    shown = (await gateway.get(f"/v1/dead-letters/{name}")).json()
    assert shown["editable"] == []
    assert message.wire_type() in shown["not_editable"]


@pytest.mark.parametrize("payload", [b"\xff\x00", b"not json", b"[]", b'{"objective": '])
async def test_a_payload_that_is_no_object_is_not_edited(gateway, bury, payload):
    name = await bury(payload)
    error = error_of(await edit(gateway, name, {"objective": "count"}), 409)
    assert error["code"] == "not_editable"


ANSWER = {
    "id": "r/s/1/answer",
    "run_id": "r",
    "tenant": "shop",
    "agent": "data",
    "handoff_id": "r/s/1",
    "token": "secret-token-of-the-handoff",
    "output": {"answer": "x", "confidence": 0.2, "sources": [{"title": "t", "uri": "https://a.example"}]},
}


async def test_an_edited_answer_keeps_its_token_which_is_shown_to_no_operator(gateway, bury, settings):
    name = await bury(ANSWER, StepCompleted, "runs")
    shown = json.loads((await gateway.get(f"/v1/dead-letters/{name}")).json()["payload"]["text"])
    assert shown["token"] == "***"
    shown["output"]["answer"] = "corrected"
    answer = await edit(gateway, name, shown)
    assert answer.status_code == 200, answer.text
    assert "secret-token" not in answer.text
    [record] = await records_of(settings, "runs", 1)
    sent = json.loads(record.value)
    assert (sent["token"], sent["output"]["answer"]) == (ANSWER["token"], "corrected")


@pytest.mark.parametrize(
    "change",
    [
        {"token": "forged"},
        {"run_id": "other"},
        {"output": ANSWER["output"] | {"confidence": 0.9}},
        {"output": ANSWER["output"] | {"sources": []}},
        {"judged": [{"call": "c", "action": "tool_call", "name": "n", "verdict": "allow", "rule": "r"}]},
        {"acted": ["send_mail ann@shop.example"]},
    ],
)
async def test_an_edited_answer_keeps_everything_that_decides_about_authority(gateway, bury, change):
    name = await bury(ANSWER, StepCompleted, "runs")
    error = error_of(await edit(gateway, name, ANSWER | {"token": "***"} | change), 422)
    assert error["code"] == "protected_field"


async def test_an_edit_that_changes_nothing_is_refused(gateway, bury):
    name = await bury({"objective": "count"})
    assert error_of(await edit(gateway, name, {"objective": "count"}), 422)["code"] == "unchanged"


async def test_to_edit_a_task_an_operator_needs_the_role_to_submit(settings, topics, redis, tmp_path, bury):
    keys = Keys(tmp_path / "keys.toml")
    only, both = keys.add("op", ["operate", "contents"]), keys.add("ada", ["admin"])
    name = await bury({"objectve": "count"})
    async with serving(settings, principals=keys.path) as client:

        async def edited(key):
            client.headers["Authorization"] = f"Bearer {key}"
            return await edit(client, name, {"objective": "count"}, by="mallory")

        assert "submit" in error_of(await edited(only), 403)["message"]
        answer = await edited(both)
    assert answer.status_code == 200, answer.text
    assert answer.json()["handled"]["by"] == "ada"


async def test_every_message_that_can_be_edited_is_unsigned_and_an_edit_is_of_its_own_fields():
    for kind, fields in edits.EDITABLE.items():
        assert not kind.__name__.startswith(("Human", "Carry", "Cancel", "Pause", "Resume"))
        assert {field.partition(".")[0] for field in fields} <= set(kind.model_fields)
        assert "token" not in fields


async def test_letters_show_their_run_and_its_cost(gateway, bury, sentinel):
    await begin(RunStore(sentinel, 60), "run-a")
    known, unknown = await bury({"objective": 3, "run_id": "run-a"}), await bury({"objective": 3}, ce_subject="run-x")
    lines = {each["name"]: each for each in (await gateway.get("/v1/dead-letters")).json()["letters"]}
    assert (lines[known]["run_id"], lines[known]["cost_usd"]) == ("run-a", 0.0)
    assert (lines[unknown]["run_id"], lines[unknown]["cost_usd"]) == ("run-x", None)
    assert (await gateway.get(f"/v1/dead-letters/{known}")).json()["cost_usd"] == 0.0


async def test_a_payload_that_is_shown_is_in_the_audit_of_its_tenant(gateway, bury):
    name = await bury({"objective": "count", "tenant": "shop"})
    await gateway.get(f"/v1/dead-letters/{name}", params={"contents": "false"})
    assert (await gateway.get("/v1/audit", params={"tenant": "shop"})).json()["accesses"] == []
    await gateway.get(f"/v1/dead-letters/{name}")
    [access] = (await gateway.get("/v1/audit", params={"tenant": "shop"})).json()["accesses"]
    assert (access["kind"], access["what"]) == ("dead_letter", name)


def test_an_encoded_task_is_one_that_can_be_edited():
    record = encode(Task(objective="count"), id="t", source="/x", prefix="", now=datetime.now(UTC))
    assert record.headers["ce_type"] == Task.wire_type()
