"""Submitting a task and applying a dry run in the console, in front of a real gateway, archive and broker."""

import html
import json
import re

import pytest

from schemas.approval import CarryOut
from schemas.step import ResultReviewed, StepCompleted
from schemas.task import Task
from shared.blackboard import RunStore, announce
from tests.integration.console.test_console_in_chromium import browse, chromium  # noqa: F401 -- fixtures
from tests.support.console import HOSTILE, Keys, Visit, console_for, said
from tests.support.gateway_fixtures import AGENTS, apply, begin, records_of, serving

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


async def submitted(visit, files=None, **fields):
    page = (await visit.http.get("/submit")).text
    given = dict(re.findall(r'type="hidden" name="(nonce|kept|form_token)" value="([^"]*)"', page))
    given = {name: html.unescape(value) for name, value in given.items()} | fields
    return await visit.http.post("/submit", data=given, files=files or [("files", ("", b""))])


async def test_a_task_with_a_file_reaches_its_topic_and_the_page_of_its_run(visit, gateway, settings):
    page = (await visit.http.get("/submit")).text
    assert '<option value="data">' in page
    answer = await submitted(
        visit,
        [("files", ("sales.csv", b"a,b\n1,2\n", "text/csv"))],
        objective=f"count {HOSTILE}".replace("\x00", ""),
        agent="data",
        tenant="shop",
        cost_usd="0.25",
        dry_run="1",
    )
    assert answer.status_code == 303, said(answer.text)
    [record] = await records_of(settings, "tasks", 1)
    task = Task.model_validate_json(record.value)
    assert (task.agent, task.shape, task.dry_run, task.budget.cost_usd) == ("data", "single", True, 0.25)
    [attached] = task.context.attachments
    stored = await gateway.get(f"/v1/files/{attached.uri.removeprefix('blob:')}", params={"tenant": "shop"})
    assert (attached.name, stored.content) == ("sales.csv", b"a,b\n1,2\n")
    run = await visit.open(answer.headers["location"])
    assert run.status_code == 200
    assert "its run has not started yet" in run.text


async def test_the_same_form_sent_twice_is_one_run(visit, settings):
    page = (await visit.http.get("/submit")).text
    given = dict(re.findall(r'type="hidden" name="(nonce|kept|form_token)" value="([^"]*)"', page))
    given |= {"objective": "count"}
    files = [("files", ("", b""))]
    one, two = [await visit.http.post("/submit", data=given, files=files) for _ in range(2)]
    assert one.headers["location"] == two.headers["location"]


async def test_a_task_is_submitted_again_with_a_higher_limit(visit, sentinel, settings):
    await begin(RunStore(sentinel, ttl=60), "run-a", dry_run=True)
    page = (await visit.open("/runs/run-a/resubmit")).text
    hidden = dict(re.findall(r'type="hidden" name="(nonce|kept|form_token)" value="([^"]*)"', page))
    shown = re.findall(r'<input id="(\w+)" name="\1" value="([^"]*)"', page)
    objective = re.search(r'<textarea id="objective"[^>]*>(.*?)</textarea>', page, re.DOTALL)[1]
    fields = {name: html.unescape(value) for name, value in (hidden | dict(shown)).items()}
    fields |= {"objective": html.unescape(objective), "dry_run": "1", "shape": "auto", "model_calls": "777"}
    answer = await visit.http.post("/runs/run-a/resubmit", data=fields, files=[("files", ("", b""))])
    assert answer.status_code == 303, said(answer.text)
    [record] = await records_of(settings, "tasks", 1)
    task = Task.model_validate_json(record.value)
    assert (task.objective, task.dry_run, task.budget.model_calls) == (html.unescape(objective), True, 777)


async def test_a_key_without_the_role_keeps_the_form_and_names_the_role(settings, topics, redis, tmp_path):
    keys = Keys(tmp_path / "keys.toml")
    keys.add("viewer", ["viewer"])
    async with serving(settings, principals=keys.path) as gateway, console_for(settings, str(gateway.base_url)) as http:
        visit = Visit(http)
        await visit.log_in(keys.keys["viewer"])
        answer = await submitted(visit, objective="count the orders")
    assert answer.status_code == 403
    assert "submit" in answer.text
    assert "count the orders</textarea>" in answer.text


async def test_the_calls_of_a_dry_run_are_applied_as_they_were_shown(visit, sentinel, settings):
    store = RunStore(sentinel, ttl=60)
    run = await begin(store, "run-a", dry_run=True)
    [step] = run.steps.values()
    effect = {
        "call": "think-1/turn-1/call-1",
        "tool": "send_mail",
        "arguments": json.dumps({"to": "anna@firm.example", "body": HOSTILE}),
        "digest": "a" * 64,
        "risk": "high",
        "effect": "irreversible",
        "verdict": "ask",
        "rule": "acts",
    }
    done = StepCompleted.model_validate(
        {
            "id": f"{step.handoff_id}/answer",
            "run_id": "run-a",
            "tenant": "default",
            "agent": "data",
            "handoff_id": step.handoff_id,
            "output": {"answer": "planned", "confidence": 0.9, "effects": [effect]},
        }
    )
    run = await apply(store, "run-a", done)
    about = {"run_id": "run-a", "tenant": "default", "agent": "reviewer", "handoff_id": run.reviewing.handoff_id}
    run = await apply(store, "run-a", ResultReviewed(id="reviewed", accepted=True, **about))
    assert run.state == "COMPLETE", run.state
    page = (await visit.open("/runs/run-a/apply")).text
    assert "anna@firm.example" in page
    assert "needs a person" in page
    digest = re.search(r'name="digest" value="([^"]*)"', page)[1]
    wrong = await visit.send("/runs/run-a/apply", digest="0" * 64, by="ann")
    assert wrong.status_code == 409
    answer = await visit.send("/runs/run-a/apply", digest=digest, by="ann")
    assert answer.status_code == 303, said(answer.text)
    [record] = await records_of(settings, "control", 1)
    order = CarryOut.model_validate_json(record.value)
    assert (order.run_id, order.digest, order.by) == ("run-a", digest, "ann")


async def test_a_run_that_has_no_calls_to_apply_says_so(visit, sentinel):
    await begin(RunStore(sentinel, ttl=60), "run-a")
    page = await visit.open("/runs/run-a/apply")
    assert "There is no result to show" in page.text
    assert (await visit.open("/runs/unknown/apply")).status_code == 404


async def test_a_task_is_submitted_by_keyboard_alone(browse, settings, gateway, tmp_path):  # noqa: F811
    file = tmp_path / "a.txt"
    file.write_text("hello")
    async with console_for(settings, str(gateway.base_url)) as console:
        seen = await browse(320)
        await seen.page.goto(f"{console.base_url}/submit")
        await seen.page.keyboard.press("Tab")
        while not await seen.page.locator("#objective:focus").count():
            await seen.page.keyboard.press("Tab")
        await seen.page.keyboard.type("count the orders")
        await seen.page.locator("#files").set_input_files(file)
        while not await seen.page.locator('[name="do"]:focus').count():
            await seen.page.keyboard.press("Tab")
        await seen.page.keyboard.press("Enter")
        await seen.page.wait_for_url("**/runs/*")
        assert seen.elsewhere(str(console.base_url)) == []
        assert seen.complaints == []
    [record] = await records_of(settings, "tasks", 1)
    assert [each.name for each in Task.model_validate_json(record.value).context.attachments] == ["a.txt"]
