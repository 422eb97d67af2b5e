"""The whole swarm: every service its own process, tasks in over HTTP or straight into Kafka, results out."""

import asyncio
import base64
import json
import os
import re
import signal
from email import message_from_bytes, policy
from uuid import uuid4

import httpx
import pytest

from infra.demo import sample
from tests.support.swarm import (
    CSV,
    envelope,
    follow,
    listening,
    publish,
    result_for,
    result_of,
    scripted,
    submit,
)

pytestmark = pytest.mark.broker


@pytest.fixture
def prefix(swarm):
    return swarm._environment["WAGGLE_TOPIC_PREFIX"]


async def everything(consumer, quiet_ms: int = 1_500) -> list[dict]:
    """Everything there is, read until nothing more comes for a while."""
    found = []
    while batches := await consumer.getmany(timeout_ms=quiet_ms):
        found += [json.loads(record.value) for batch in batches.values() for record in batch]
    return found


async def test_a_task_event_published_to_kafka_comes_back_as_a_reviewed_result(swarm, prefix):
    task = {"objective": "Summarise visitors.csv", "context": {"attachments": [{"name": "visitors.csv", "text": CSV}]}}
    task_id = f"task-{uuid4().hex}"
    async with listening(swarm, prefix + "results") as results:
        await publish(swarm, prefix + "tasks", json.dumps(task).encode(), **envelope(task_id))
        result = await result_for(results, task_id)
    assert result["status"] == "complete"
    assert "3" in result["answer"]
    assert "400" in result["answer"].replace(",", "") or "133" in result["answer"]
    assert result["models"] == ["waggle-simulated"]


async def test_the_demo_finds_what_was_planted_and_mails_it(swarm, gateway, tmp_path):
    truth = sample.generate(tmp_path, seed=11)
    orders = (tmp_path / "orders.csv").read_bytes()
    uploaded = (await gateway.post("/v1/files", params={"name": "orders.csv"}, content=orders)).json()
    runbooks = [
        {"name": path.name, "media_type": "text/markdown", "text": path.read_text()}
        for path in sorted((tmp_path / "runbooks").glob("*.md"))
    ]
    run_id = await submit(gateway, sample.TASK, context={"attachments": [uploaded, *runbooks]})
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    assert {step["agent"] for step in result["steps"]} == {"data", "research", "code", "communication"}
    for fact in (truth.value, truth.error_code, truth.remedy, f"{truth.window_start:%Y-%m-%d}"):
        assert fact in result["answer"]
    said = int(re.search(r"(\d+) of them affected", result["answer"])[1])
    assert said == pytest.approx(truth.affected_orders, rel=0.05)
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in swarm.state.mailbox.glob("*.eml")]
    (mail,) = [mail for mail in mails if truth.error_code in mail["Subject"]]
    assert mail["To"] == "oncall@example.com"
    assert any(part.get_content_type() == "image/png" for part in mail.walk())
    chart = next(each for each in result["artefacts"] if each["media_type"] == "image/png")
    content = (await gateway.get(f"/v1/files/{chart['uri'].removeprefix('blob:')}")).content
    assert content.startswith(b"\x89PNG")


@pytest.mark.parametrize("victim", ["orchestrator", "planner", "data", "code", "research", "communication", "reviewer"])
async def test_killing_a_service_delays_the_run_and_nothing_else(swarm, gateway, victim, tmp_path):
    truth = sample.generate(tmp_path, seed=5, rows=50_000)
    orders = (tmp_path / "orders.csv").read_bytes()
    uploaded = (await gateway.post("/v1/files", params={"name": "orders.csv"}, content=orders)).json()
    runbooks = [{"name": p.name, "text": p.read_text()} for p in sorted((tmp_path / "runbooks").glob("*.md"))]
    before = set(swarm.state.mailbox.glob("*.eml"))
    run_id = await submit(gateway, sample.TASK, context={"attachments": [uploaded, *runbooks]})
    child = next(child for child in swarm._children if child.name == victim)
    await asyncio.sleep(0.4)
    os.kill(child.pid, signal.SIGKILL)
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    assert truth.error_code in result["answer"]
    assert len(set(swarm.state.mailbox.glob("*.eml")) - before) == 1
    await asyncio.wait_for(child.await_ready(), 30)


async def test_the_same_idempotency_key_is_the_same_run_and_one_result(swarm, gateway, prefix):
    key = uuid4().hex
    first, second = [
        (await gateway.post("/v1/tasks", json={"objective": "Say hello"}, headers={"Idempotency-Key": key})).json()
        for _ in range(2)
    ]
    assert first["run_id"] == second["run_id"]
    await follow(gateway, first["run_id"])
    async with listening(swarm, prefix + "results") as results:
        found = await everything(results)
    assert sum(result["run_id"] == first["run_id"] for result in found) == 1


async def test_a_single_agent_can_be_named(gateway):
    attachment = {"name": "visitors.csv", "text": CSV}
    run_id = await submit(
        gateway, "Summarise visitors.csv", shape="single", agent="data", context={"attachments": [attachment]}
    )
    result = await result_of(gateway, run_id)
    assert (result["status"], [step["agent"] for step in result["steps"]]) == ("complete", ["data"])


async def test_a_router_picks_one_specialist(gateway):
    run_id = await submit(
        gateway,
        "Summarise visitors.csv",
        shape="router",
        context={"attachments": [{"name": "visitors.csv", "text": CSV}]},
    )
    result = await result_of(gateway, run_id)
    assert (result["status"], len(result["steps"])) == ("complete", 1)


async def test_a_run_can_be_cancelled(gateway, model):
    await scripted(model, {"when": {"objective": "wait for ever"}, "fault": {"delay": 30}})
    run_id = await submit(gateway, "Please wait for ever")
    await asyncio.sleep(0.5)
    answer = await gateway.post(f"/v1/runs/{run_id}/cancel", json={"by": "me", "reason": "no need"})
    assert answer.status_code == 202
    result = await result_of(gateway, run_id)
    assert (result["status"], result["error"]["code"]) == ("cancelled", "cancelled")
    again = await gateway.post(f"/v1/runs/{run_id}/cancel", json={"by": "me", "reason": "no need"})
    assert again.status_code == 409


async def test_a_run_that_takes_too_long_ends_at_its_deadline(gateway, model):
    await scripted(model, {"when": {"objective": "too slow"}, "fault": {"delay": 30}})
    run_id = await submit(gateway, "This is too slow", budget={"seconds": 1.5})
    result = await result_of(gateway, run_id)
    assert (result["status"], result["error"]["code"]) == ("failed", "deadline")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"cyclic_plan": True}, "loop"),
        ({"truncate": True}, "no_plan"),
        ({"status": 500}, "deadline"),
    ],
)
async def test_a_planner_that_never_makes_a_usable_plan_fails_the_run_with_the_reason(gateway, model, fault, code):
    marker = f"marker{uuid4().hex[:6]}"
    await scripted(model, {"when": {"agent": "planner", "objective": marker}, "fault": fault})
    task = {"attachments": [{"name": "visitors.csv", "text": CSV}]}
    objective = f"Summarise visitors.csv and search documents and mail a@b.ch {marker}"
    run_id = await submit(gateway, objective, context=task, budget={"seconds": 20})
    result = await result_of(gateway, run_id)
    assert (result["status"], result["error"]["code"]) == ("failed", code)


async def test_an_unknown_agent_in_a_plan_is_refused_and_the_next_plan_is_carried_out(gateway, model):
    marker = f"marker{uuid4().hex[:6]}"
    plan = {"steps": [{"id": "a", "objective": "x", "agent": "nobody"}], "rationale": ""}
    first = {"agent": "planner", "objective": marker, "feedback": False}
    await scripted(model, {"when": first, "reply": {"json": plan}})
    run_id = await submit(gateway, f"Say hello {marker}")
    events = await follow(gateway, run_id)
    refused = [data for kind, data in events if kind == "waggle.plan-refused.v1"]
    assert "nobody" in refused[0]["problems"][0]
    assert (await gateway.get(f"/v1/runs/{run_id}/result")).json()["status"] == "complete"


@pytest.mark.parametrize(
    ("value", "changes", "said"),
    [
        (b"{not json", {}, "JSON"),
        (b'"text"', {}, "object"),
        (b"{}", {}, "objective"),
        (b'{"objective": "   "}', {}, "objective"),
        (b'{"objective": 7}', {}, "objective"),
        (b'{"objective": "x", "objektive": 1}', {}, "objektive"),
        (b'{"objective": "x", "shape": "star"}', {}, "shape"),
        # An agent may still come: its task waits for as long as it may take.
        (b'{"objective": "x", "shape": "single", "agent": "nobody", "budget": {"seconds": 4}}', {}, "nobody"),
        (b'{"objective": "x", "budget": {"tokens": -1}}', {}, "tokens"),
        (b'{"objective": "x", "deadline": "2001-01-01T00:00:00Z"}', {}, "deadline"),
        (b'{"objective": "x", "tenant": "No Such!"}', {}, "tenant"),
        (b'{"objective": "x"}', {"ce_type": "waggle.task.v9"}, "waggle.task.v1"),
        (b'{"objective": "x"}', {"ce_specversion": "0.3"}, "specversion"),
        (b'{"objective": "' + b"x" * 500_000 + b'"}', {}, "objective"),
        (json.dumps({"objective": "x", "context": {"data": {"a": "y" * 1_500_000}}}).encode(), {}, "bytes"),
    ],
)
async def test_broken_input_is_rejected_with_the_reason_and_the_services_keep_running(
    swarm, prefix, value, changes, said
):
    task_id = f"task-{uuid4().hex}"
    async with listening(swarm, prefix + "results") as results:
        await publish(swarm, prefix + "tasks", value, **envelope(task_id, **changes))
        result = await result_for(results, task_id)
    assert result["status"] == "rejected"
    assert said in result["error"]["message"]


async def test_a_message_without_an_id_is_kept_byte_for_byte_as_a_dead_letter(swarm, prefix):
    value = os.urandom(200)
    async with listening(swarm, prefix + "tasks.dlt") as letters:
        await publish(swarm, prefix + "tasks", value, key=b"k", ce_source="/nobody")
        async with asyncio.timeout(30):
            async for record in letters:
                if record.value == value:
                    break
    headers = dict(record.headers)
    assert (headers["dlt-error"], record.key) == (b"invalid_envelope", b"k")
    assert json.loads(headers["dlt-headers"]) == [["ce_source", base64.b64encode(b"/nobody").decode()]]


async def test_a_person_is_asked_and_the_answer_reaches_the_agent(gateway, model):
    marker = f"marker{uuid4().hex[:6]}"
    steps = [{"id": a, "objective": "x", "agent": "communication", "depends_on": [b]} for a, b in ("ab", "ba")]
    circle = {"when": {"agent": "planner", "objective": marker}, "reply": {"json": {"steps": steps}}, "times": 2}
    await scripted(model, circle)
    run_id = await submit(gateway, f"Say hello {marker}", on_trouble="wait")
    async with asyncio.timeout(30):
        while (run := (await gateway.get(f"/v1/runs/{run_id}")).json())["state"] != "WAITING_HUMAN":
            await asyncio.sleep(0.1)
    assert "cycle" in run["waiting_for"]["question"]
    request_id = run["waiting_for"]["request_id"]
    decision = {"by": "eva", "request_id": request_id, "decision": "approve", "answer": "once more"}
    assert (await gateway.post(f"/v1/runs/{run_id}/decisions", json=decision)).status_code == 202
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]


async def test_a_paused_run_rests_until_it_is_resumed(gateway, model):
    marker = f"marker{uuid4().hex[:6]}"
    await scripted(model, {"when": {"agent": "planner", "objective": marker}, "fault": {"delay": 1}})
    run_id = await submit(gateway, f"Say hello {marker}")
    await asyncio.sleep(0.4)
    await gateway.post(f"/v1/runs/{run_id}/pause", json={"by": "eva", "reason": "lunch"})
    await asyncio.sleep(1.6)
    run = (await gateway.get(f"/v1/runs/{run_id}")).json()
    assert (run["state"], run["plan"] is not None) == ("PAUSED", True)
    await gateway.post(f"/v1/runs/{run_id}/resume", json={"by": "eva"})
    assert (await result_of(gateway, run_id))["status"] == "complete"


async def test_the_journal_shows_the_exact_prompt_of_a_step(gateway):
    run_id = await submit(gateway, "Say hello")
    events = await follow(gateway, run_id)
    handoff = next(data["handoff_id"] for kind, data in events if kind == "waggle.step-dispatched.v1")
    journal = (await gateway.get(f"/v1/runs/{run_id}/journal", params={"handoff_id": handoff})).json()["entries"]
    system = journal["think-1/turn-1"]["added"][0]["content"]
    assert system.startswith("You are the ")


async def test_tenants_do_not_see_each_others_runs_or_files(gateway):
    run_id = await submit(gateway, "Say hello", tenant="acme")
    uploaded = await gateway.post("/v1/files", params={"name": "a.txt", "tenant": "acme"}, content=b"secret")
    sha256 = uploaded.json()["uri"].removeprefix("blob:")
    await asyncio.sleep(0.5)
    assert (await gateway.get(f"/v1/runs/{run_id}", params={"tenant": "acme"})).status_code == 200
    assert (await gateway.get(f"/v1/files/{sha256}", params={"tenant": "acme"})).content == b"secret"
    for path in (f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/events", f"/v1/runs/{run_id}/result", f"/v1/files/{sha256}"):
        assert (await gateway.get(path)).status_code == 404
    listed = (await gateway.get("/v1/runs", params={"limit": 200})).json()["runs"]
    assert run_id not in {run["run_id"] for run in listed}


async def test_every_service_says_that_it_lives_and_is_ready_and_counts(swarm):
    async with httpx.AsyncClient() as client:
        for child in swarm._children:
            port = child._environment.get("WAGGLE_HTTP_PORT")
            if child.name in swarm._services:
                assert (await client.get(f"http://127.0.0.1:{port}/live")).status_code == 200
                assert (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200
                metrics = await client.get(f"http://127.0.0.1:{port}/metrics")
                assert "process_resident_memory_bytes" in metrics.text


async def test_a_task_as_large_as_the_topic_takes_is_dead_lettered_whole_and_does_not_stop_the_partition(
    swarm, prefix, request
):
    if request.config.getoption("kafka") == "embedded":
        pytest.skip("the embedded broker keeps 5 MB a partition; `make test-kafka` runs this")
    task_id = f"task-{uuid4().hex}"
    value = b'{"objective": "' + b"x" * (8 * 1_048_576 - 2_000) + b'"}'
    async with listening(swarm, prefix + "results") as results:
        await publish(swarm, prefix + "tasks", value, **envelope(task_id))
        result = await result_for(results, task_id)
    assert result["status"] == "rejected"
