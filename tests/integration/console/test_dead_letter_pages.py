"""Dead letters in the console, in front of a real gateway, broker and Redis."""

import json
import re
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer

from schemas.task import Task
from shared.errors import InvalidMessage
from shared.runs import run_id_for
from tests.integration.bus.test_dead_letters import put
from tests.support.console import HOSTILE, Keys, Visit, console_for, said
from tests.support.gateway_fixtures import records_of, serving

pytestmark = pytest.mark.broker


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def visit(settings, gateway):
    async with console_for(settings, str(gateway.base_url)) as client:
        yield Visit(client)


@pytest.fixture
async def bury(settings, topics):
    """Dead-letters a task; gives the name."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:

        async def bury(payload, code="invalid_payload"):
            headers = {"ce_specversion": "1.0", "ce_id": "t", "ce_source": "/shop", "ce_type": Task.wire_type()}
            pairs = [(name, each.encode()) for name, each in headers.items()]
            return await put(producer, settings, "tasks", json.dumps(payload).encode(), headers=pairs, code=code)

        yield bury


async def test_a_letter_is_found_inspected_corrected_and_redriven(visit, bury, settings):
    name = await bury({"objectve": f"count {HOSTILE}", "tenant": "shop"})
    page = (await visit.open("/dead-letters?topic=tasks")).text
    assert f'href="/dead-letters/{name}"' in page
    assert "invalid_payload" in page
    shown = (await visit.open(f"/dead-letters/{name}?show=text")).text
    assert "&lt;script" in shown
    form = (await visit.open(f"/dead-letters/{name}/edit")).text
    text = said(re.search(r'<textarea id="value"[^>]*>(.*?)</textarea>', form, re.DOTALL)[1])
    corrected = text.replace('"objectve"', '"objective"')
    checked = await visit.send(f"/dead-letters/{name}/edit", do="check", value=corrected)
    assert "The payload is valid" in checked.text, said(checked.text)
    sent = await visit.send(f"/dead-letters/{name}/edit", do="redrive", value=corrected, reason="misspelt", by="ada")
    assert sent.status_code == 303, said(sent.text)
    [record] = await records_of(settings, "tasks", 1)
    assert json.loads(record.value)["objective"].split() == f"count {HOSTILE}".split()
    after = said((await visit.open(f"/dead-letters/{name}?notice=edit")).text)
    for words in ("redriven by ada", "misspelt", "objectve", "removed", "not there"):
        assert words in after
    assert "shown with the payload" in said((await visit.open(f"/dead-letters/{name}")).text)


async def test_an_edit_that_permits_more_is_refused_with_the_field_and_keeps_the_text(visit, bury):
    name = await bury({"objectve": "count", "dry_run": True})
    value = json.dumps({"objective": "count", "dry_run": False})
    answer = await visit.send(f"/dead-letters/{name}/edit", do="redrive", value=value, reason="x", by="ada")
    assert answer.status_code == 422
    assert "dry_run" in answer.text
    assert "&#34;dry_run&#34;: false" in answer.text


async def test_a_misspelt_field_is_named_with_the_one_that_is_meant(visit, bury):
    name = await bury({"objective": "count", "budgt": {"tokens": 5}})
    value = json.dumps({"objective": "count", "budgt": {"tokens": 4}})
    answer = await visit.send(f"/dead-letters/{name}/edit", do="check", value=value)
    assert answer.status_code == 422
    assert "unknown field budgt : did you mean budget ?" in said(answer.text).replace("`", " ").replace("  ", " ")


async def test_the_letter_of_a_broken_task_leads_to_the_run_that_was_rejected(visit, bury, settings, orchestrator):
    payload = {"objectve": "count", "tenant": "shop", "idempotency_key": "k1"}
    name = await bury(payload)
    assert re.search(r"Run none", said((await visit.open(f"/dead-letters/{name}")).text))
    headers = [("ce_id", b"t"), ("ce_source", b"/shop")]
    about = {"topic": f"{settings.topic_prefix}tasks", "partition": 0, "offset": 3, "key": b"k", "headers": headers}
    record = SimpleNamespace(value=json.dumps(payload).encode(), **about)
    await orchestrator.on_dead(record, InvalidMessage("unknown field", code="invalid_payload"))
    run_id = run_id_for("shop", "k1")
    page = (await visit.open(f"/dead-letters/{name}")).text
    assert f'href="/runs/{run_id}?tenant=shop"' in page
    assert "rejected" in said((await visit.open(f"/runs/{run_id}?tenant=shop")).text)


async def test_all_that_match_are_redriven_and_each_has_its_line(visit, bury, settings):
    names = [await bury({"objective": 1}, code="defect") for _ in range(3)]
    other = await bury({"objective": 1})
    page = await visit.open("/dead-letters/all/redrive?error=defect")
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert fields["expected"] == "3"
    late = await bury({"objective": 1}, code="defect")
    fields["until"] = fields["until"].replace("&#43;", "+")
    del fields["form_token"]
    answer = await visit.send("/dead-letters/all/redrive", by="ada", **fields)
    lines = re.findall(r"(\d) of 3: (\S+) (\w+)", said(answer.text))
    assert lines == [(str(number), name, "redriven") for number, name in enumerate(names, 1)]
    assert len(await records_of(settings, "tasks", 3)) == 3
    left = (await visit.open("/dead-letters?state=open")).text
    assert f'href="/dead-letters/{other}"' in left
    assert f'href="/dead-letters/{late}"' in left, "it arrived after the preview"
    assert f'href="/dead-letters/{names[0]}"' not in left


async def test_a_second_redrive_says_who_did_the_first(visit, bury):
    name = await bury({"objective": 1})
    assert (await visit.send(f"/dead-letters/{name}/redrive", by="ada")).status_code == 303
    again = await visit.send(f"/dead-letters/{name}/redrive", by="bob")
    assert again.status_code == 409
    assert "redriven by ada" in said(again.text)
    assert (await visit.send(f"/dead-letters/{name}/redrive", by="bob", again="1", reason="lost")).status_code == 303


async def test_a_key_that_may_not_operate_sees_which_role_is_missing(settings, topics, redis, tmp_path, bury):
    keys = Keys(tmp_path / "keys.toml")
    keys.add("viewer", ["viewer"])
    keys.add("op", ["operator"])
    name = await bury({"objective": "secret words"})
    async with serving(settings, principals=keys.path) as gateway, console_for(settings, str(gateway.base_url)) as http:
        visit = Visit(http)
        await visit.log_in(keys.keys["viewer"])
        refused = await visit.open("/dead-letters")
        assert refused.status_code == 403
        assert "operate" in refused.text
        await visit.send("/logout", form="/")
        await visit.log_in(keys.keys["op"])
        assert (await visit.open("/dead-letters")).status_code == 200
        page = (await visit.open(f"/dead-letters/{name}?show=text")).text
        assert "may not see contents" in page
        assert "secret words" not in page


async def test_an_unknown_topic_lists_those_that_exist(visit, bury):
    await bury({"objective": 1})
    answer = await visit.open("/dead-letters?topic=nothing")
    assert answer.status_code == 404
    assert "there are:" in answer.text
    assert 'value="nothing"' in answer.text
