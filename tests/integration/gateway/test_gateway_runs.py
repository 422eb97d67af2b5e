"""Runs and commands at the gateway, over real HTTP, on a real broker and Redis."""

import asyncio
import json
import re
import time
from itertools import chain
from unittest.mock import AsyncMock

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.api.runs import LONGEST_OBSTACLE
from schemas.approval import CancelRun, HumanDecided, PauseRun, RecordEvaluation
from schemas.error import ErrorInfo
from schemas.event import CheckResult, Evaluation
from schemas.step import HandoffFailed, HelpAsked
from schemas.task import Result
from shared.blackboard import Journal, announce, keys
from tests.support.gateway_fixtures import AGENTS, apply, begin, cancel, error_of, records_of, sent_events
from tests.support.questions import first_asked

TASK = {"objective": "count the orders"}


async def test_runs_are_listed_newest_first_page_by_page_and_by_state(gateway, store, redis):
    for n in range(7):
        await begin(store, f"run-{n}", f"objective {n}")
    for n in (1, 4):
        await cancel(store, "default", f"run-{n}")
    await redis.delete("waggle:default:run:run-3:state")
    await begin(store, "run-other", tenant="shop")

    async def pages(**query):
        offset, found = 0, []
        while offset is not None:
            page = (await gateway.get("/v1/runs", params={"offset": offset, **query})).json()
            found.append([line["run_id"] for line in page["runs"]])
            offset = page["next_offset"]
        return found

    assert list(chain(*await pages(limit=2))) == ["run-6", "run-5", "run-4", "run-2", "run-1", "run-0"]
    assert all(len(page) <= 2 for page in await pages(limit=2))
    assert list(chain(*await pages(limit=1, state="CANCELLED"))) == ["run-4", "run-1"]
    assert await pages(state="PAUSED") == [[]]
    assert await pages(tenant="shop") == [["run-other"]]
    [line] = (await gateway.get("/v1/runs?limit=1")).json()["runs"]
    assert (line["objective"], line["state"], line["steps_done"], line["steps_total"]) == (
        "objective 6",
        "EXECUTING",
        0,
        1,
    )


async def test_the_runs_of_a_session_are_listed_page_by_page(gateway, store):
    for number in range(4):
        await begin(store, f"run-{number}", session="trip" if number % 2 else "other")
    first = (await gateway.get("/v1/runs", params={"session": "trip", "limit": 1})).json()
    rest = (await gateway.get("/v1/runs", params={"session": "trip", "cursor": first["next_cursor"]})).json()
    assert [each["run_id"] for each in (*first["runs"], *rest["runs"])] == ["run-3", "run-1"]
    assert (await gateway.get("/v1/runs", params={"session": "none"})).json()["runs"] == []


@pytest.fixture
async def fleet(gateway, store):
    """Runs of each kind that a list can be filtered by."""
    await begin(store, "run-old", "count the Orders", type="report")
    for run_id in ("run-asks", "run-waits"):
        await ask(store, await begin(store, run_id, "refund order 4711"))
    await break_once(store, await begin(store, "run-retries", "mail it", type="mail"))
    await begin(store, "run-dear", budget={"model_calls": 1})
    await apply(store, "run-dear", failed("run-dear", usage={"model_calls": 5}))
    await apply(store, "run-dear", evaluated("run-dear"))
    await cancel(store, "default", "run-old")
    await begin(store, "run-new")


def evaluated(run_id: str) -> RecordEvaluation:
    checks = [CheckResult(name="completed", passed=False, why="it ended as FAILED")]
    found = Evaluation(end=0, rules="0123456789ab", sampled="failed", checks=checks)
    return RecordEvaluation(run_id=run_id, tenant="default", by="evaluator", evaluation=found)


async def ask(store, run) -> None:
    [record] = run.steps.values()
    about = {"run_id": run.id, "tenant": run.tenant, "agent": "data", "handoff_id": record.handoff_id}
    await apply(store, run.id, HelpAsked(id=f"{run.id}/h", question="Which year?", **about), run.tenant)


def failed(run_id: str, **more) -> HandoffFailed:
    about = {"id": f"{run_id}/f", "run_id": run_id, "tenant": "default", "agent": "data"}
    error = ErrorInfo(code="broken", message="it broke", retryable=True)
    return HandoffFailed(**about, handoff_id=f"{run_id}/data/0.0.1", error=error, **more)


async def break_once(store, run) -> None:
    await apply(store, run.id, failed(run.id))


FILTERED = {
    "state=CANCELLED": ["run-old"],
    "state=WAITING_HUMAN": ["run-waits", "run-asks"],
    "agent=data&state=FAILED": ["run-dear"],
    "agent=research": [],
    "type=report": ["run-old"],
    "text=ORDERS": ["run-old"],
    "text=4711+refund": ["run-waits", "run-asks"],
    "text=refun": [],
    "retrying=true": ["run-retries"],
    "over_budget=true": ["run-dear"],
    "to_review=true": ["run-dear"],
    "solved=yes": [],
    "waiting=true": ["run-waits"],
    "since=2999-01-01T00:00:00Z": [],
    "until=2000-01-01T00:00:00Z": [],
    "since=2000-01-01T00:00:00Z&type=mail": ["run-retries"],
    "stopped=true": [],
    "retrying=false": ["run-new", "run-dear", "run-retries", "run-waits", "run-asks", "run-old"],
}


async def test_runs_are_filtered_by_each_condition(gateway, fleet, redis):
    asked = await redis.zscore(keys.runs_asking("default"), "run-waits")
    assert (await gateway.get("/v1/runs?waiting=true")).json()["runs"] == []
    marks = await redis.hget(keys.runs_marked("default"), "run-waits")
    await redis.hset(keys.runs_marked("default"), "run-waits", marks.replace(repr(asked), repr(asked - 3_601)))
    for query, expected in FILTERED.items():
        page = (await gateway.get(f"/v1/runs?{query}")).json()
        assert ([line["run_id"] for line in page["runs"]], page["indexing"]) == (expected, False), query
    lines = {line["run_id"]: line for line in (await gateway.get("/v1/runs")).json()["runs"]}
    told = {
        "retrying": "run-retries",
        "over_budget": "run-dear",
        "failed_checks": "run-dear",
        "waiting_since": "run-asks",
    }
    assert all(lines[run_id][name] and not lines["run-new"][name] for name, run_id in told.items())
    assert (lines["run-old"]["type"], lines["run-old"]["agents"]) == ("report", ["data"])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("all", ["run-new", "run-retries"]),
        ("tenant:default", ["run-new", "run-retries"]),
        ("tenant:shop", []),
        ("agent:data", ["run-new", "run-retries"]),
        ("agent:research", []),
        ("run:run-asks", ["run-asks"]),
        ("run:run-old", []),
    ],
)
async def test_runs_with_stopped_work_are_those_that_a_stop_covers(gateway, fleet, scope, expected):
    await gateway.put(f"/v1/stops/{scope}", json={"by": "ops", "reason": "look"})
    async with asyncio.timeout(10):
        while not (await gateway.get("/v1/stops")).json():
            await asyncio.sleep(0.02)
    page = (await gateway.get("/v1/runs?stopped=true")).json()
    assert [line["run_id"] for line in page["runs"]] == expected
    listed = (await gateway.get("/v1/runs")).json()["runs"]
    held_up = [line["run_id"] for line in listed if f"{scope} was stopped by ops: look" in line["held_up"]]
    assert held_up == expected


async def test_a_list_names_the_silent_agents_that_hold_up_each_run_and_bounds_the_text(gateway, fleet, redis):
    await announce(redis, AGENTS["data"])

    async def held_up():
        return {each["run_id"]: each["held_up"] for each in (await gateway.get("/v1/runs")).json()["runs"]}

    assert not any((await held_up()).values())
    await redis.zadd(keys.AGENTS_SEEN, {"data": time.time() - 100})
    found = await held_up()
    assert {run_id for run_id, text in found.items() if text} == {"run-new", "run-retries"}
    assert re.fullmatch(r"data does not seem to be running: last seen 10\d s ago", found["run-new"])
    await gateway.put("/v1/stops/tenant:default", json={"by": "ops", "reason": "x" * 900})
    async with asyncio.timeout(10):
        while not (text := (await held_up())["run-new"]).startswith("tenant:default was stopped by ops: xxx"):
            await asyncio.sleep(0.02)
    assert len(text) == LONGEST_OBSTACLE


async def test_an_agent_is_shown_as_not_running_after_it_missed_announcements(gateway, redis):
    await announce(redis, AGENTS["data"])
    [data] = (await gateway.get("/v1/agents")).json()
    assert (data["running"], data["seen"] is not None) == (True, True)
    await redis.zadd(keys.AGENTS_SEEN, {"data": time.time() - 100})
    [data] = (await gateway.get("/v1/agents")).json()
    assert (data["running"], data["seen"] is not None) == (False, True)


async def test_a_cursor_neither_skips_nor_repeats_a_run_while_others_start(gateway, store):
    for n in range(5):
        await begin(store, f"run-{n}")
    first = (await gateway.get("/v1/runs?limit=2")).json()
    await begin(store, "run-late")
    second = (await gateway.get("/v1/runs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    third = (await gateway.get("/v1/runs", params={"limit": 2, "cursor": second["next_cursor"]})).json()
    shown = [line["run_id"] for page in (first, second, third) for line in page["runs"]]
    assert (shown, third["next_cursor"]) == (["run-4", "run-3", "run-2", "run-1", "run-0"], None)


async def test_the_inbox_lists_the_questions_that_have_waited_longest_first(gateway, store):
    for n in (2, 0, 1):
        await ask(store, await begin(store, f"run-{n}", f"objective {n}"))
    await begin(store, "run-quiet")
    await apply(store, "run-0", PauseRun(run_id="run-0", tenant="default", by="ops", reason="lunch"))
    page = (await gateway.get("/v1/approvals?limit=2")).json()
    rest = (await gateway.get("/v1/approvals", params={"limit": 2, "offset": page["next_offset"]})).json()
    assert [each["run_id"] for each in page["approvals"] + rest["approvals"]] == ["run-2", "run-0", "run-1"]
    assert rest["next_offset"] is None
    [first, _] = page["approvals"]
    assert (first["objective"], first["asked"]["question"]) == ("objective 2", "Which year?")


async def test_runs_of_an_earlier_release_are_found_by_their_filters(gateway, store, redis):
    for n in range(3):
        await begin(store, f"run-{n}", type="report")
    async for key in redis.scan_iter("waggle:default:runs:*"):
        await redis.delete(key)
    page = (await gateway.get("/v1/runs?type=report")).json()
    assert ([line["run_id"] for line in page["runs"]], page["indexing"]) == (["run-2", "run-1", "run-0"], False)


@pytest.mark.parametrize(
    "query",
    [
        "text=+",
        "text=a+b+c+d+e+f+g+h+i",
        "cursor=x",
        "agent=No%20Slug",
        "since=now",
        "colour=red",
        "limit=0",
        "limit=201",
        "offset=-1",
        "state=SLEEPING",
        "tenant=No%20Slug",
        "limit=x",
    ],
)
async def test_a_query_out_of_bounds_is_refused(gateway, query):
    assert query.partition("=")[0] in error_of(await gateway.get(f"/v1/runs?{query}"), 422)["message"]


async def test_a_run_is_shown_as_it_stands_and_has_a_result_when_it_has_ended(gateway, store):
    run = await begin(store, "run-a")
    view = (await gateway.get("/v1/runs/run-a")).json()
    assert (view["state"], view["version"], view["task_id"]) == ("EXECUTING", 1, "task-of-run-a")
    assert [(step["agent"], step["status"]) for step in view["steps"]] == [("data", "running")]
    assert view["waiting_for"] is None
    assert error_of(await gateway.get("/v1/runs/run-a/result"), 409)["code"] == "not_finished"
    handoff = next(iter(run.steps.values())).handoff_id
    asked = HelpAsked(
        id="h", run_id="run-a", tenant="default", agent="data", handoff_id=handoff, question="Which year?"
    )
    await apply(store, "run-a", asked)
    view = (await gateway.get("/v1/runs/run-a")).json()
    assert (view["state"], view["waiting_for"]["question"]) == ("WAITING_HUMAN", "Which year?")
    await cancel(store, "default", "run-a")
    result = Result.model_validate((await gateway.get("/v1/runs/run-a/result")).json())
    assert (result.status, result.error.code) == ("cancelled", "cancelled")
    assert (await gateway.get("/v1/runs/run-a")).json()["error"]["code"] == "cancelled"


@pytest.mark.parametrize("path", ["", "/result", "/events", "/trace", "/journal?handoff_id=run-x/1"])
async def test_an_unknown_run_is_not_found(gateway, path):
    assert error_of(await gateway.get(f"/v1/runs/run-x{path}"), 404)["code"] == "unknown_run"


async def test_events_are_followed_from_before_the_run_begins_to_its_end_and_can_be_resumed(gateway, store):
    submitted = (await gateway.post("/v1/tasks", json=TASK)).json()
    following = asyncio.create_task(gateway.get(submitted["links"]["events"]))
    await asyncio.sleep(0.2)
    await begin(store, submitted["run_id"])
    await asyncio.sleep(0.1)
    assert not following.done()
    await cancel(store, "default", submitted["run_id"])
    answer = await asyncio.wait_for(following, 20)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = sent_events(answer.text)
    assert [each["event"] for each in events][:: len(events) - 1] == [
        "waggle.run-started.v1",
        "waggle.result-released.v1",
    ]
    assert json.loads(events[-2]["data"])["target"] == "CANCELLED"
    later = await gateway.get(submitted["links"]["events"], headers={"Last-Event-ID": events[2]["id"]})
    assert sent_events(later.text) == events[3:]
    nothing = await gateway.get(submitted["links"]["events"], headers={"Last-Event-ID": events[-1]["id"]})
    assert (nothing.status_code, nothing.text) == (200, "")
    wrong = await gateway.get(submitted["links"]["events"], headers={"Last-Event-ID": "$"})
    assert "last-event-id" in error_of(wrong, 422)["message"].lower()


async def test_a_quiet_stream_is_kept_alive_and_a_client_that_leaves_frees_its_connection(gateway, store, redis):
    await begin(store, "run-q")

    async def reads() -> bool:
        return any(client["cmd"] == "xread" for client in await redis.client_list())

    async def becomes(blocked: bool) -> None:
        async with asyncio.timeout(3):
            while await reads() is not blocked:
                await asyncio.sleep(0.05)

    async with gateway.stream("GET", "/v1/runs/run-q/events") as response, asyncio.timeout(20):
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith(":"):
            pass
        await becomes(blocked=True)
    await becomes(blocked=False)


async def test_commands_are_published_to_their_run_in_its_tenant(gateway, store, settings):
    await begin(store, "run-c", tenant="shop")
    body = {"by": "ops", "reason": "too dear"}
    for verb, given in (("cancel", body), ("pause", body), ("resume", {"by": "ops"})):
        if verb == "resume":
            await apply(store, "run-c", PauseRun(run_id="run-c", tenant="shop", by="ops", reason="lunch"), "shop")
        answer = await gateway.post(f"/v1/runs/run-c/{verb}?tenant=shop", json=given)
        assert (answer.status_code, answer.json()["run_id"]) == (202, "run-c")
    records = await records_of(settings, "control", 3)
    types = [dict(record.headers)["ce_type"].decode() for record in records]
    assert types == ["waggle.cancel-run.v1", "waggle.pause-run.v1", "waggle.resume-run.v1"]
    assert {record.key for record in records} == {b"run-c"}
    sent = CancelRun.model_validate_json(records[0].value)
    assert sent == CancelRun(run_id="run-c", tenant="shop", by="ops", reason="too dear")
    error_of(await gateway.post("/v1/runs/run-c/cancel", json=body), 404)


async def test_a_command_for_a_run_that_has_not_started_or_has_ended_is_refused(gateway, store):
    body = {"by": "ops", "reason": "too dear"}
    fresh = (await gateway.post("/v1/tasks", json=TASK)).json()["run_id"]
    assert error_of(await gateway.post(f"/v1/runs/{fresh}/cancel", json=body), 409)["code"] == "not_started"
    await begin(store, "run-d")
    await cancel(store, "default", "run-d")
    for verb, given in (("cancel", body), ("pause", body), ("resume", {"by": "ops"})):
        answer = await gateway.post(f"/v1/runs/run-d/{verb}", json=given)
        assert error_of(answer, 409)["code"] == "ended"


async def test_an_order_that_the_run_would_drop_is_refused_with_its_state_and_what_to_do(gateway, store, settings):
    about = {"run_id": "run-p", "tenant": "default", "by": "ops"}
    pause, resume = {"by": "ops", "reason": "lunch"}, {"by": "ops"}
    await begin(store, "run-p")
    error = error_of(await gateway.post("/v1/runs/run-p/resume", json=resume), 409)
    assert (error["code"], error["retryable"]) == ("wrong_state", True)
    assert "EXECUTING" in error["message"]
    assert "a paused or failed run only" in error["suggested_action"]
    await apply(store, "run-p", PauseRun(**about, reason="lunch"))
    error = error_of(await gateway.post("/v1/runs/run-p/pause", json=pause), 409)
    assert (error["code"], error["retryable"]) == ("wrong_state", False)
    assert "PAUSED" in error["message"]
    assert "resume" in error["suggested_action"]
    assert (await gateway.post("/v1/runs/run-p/resume", json=resume)).status_code == 202
    records = await records_of(settings, "control", 1)
    assert [dict(each.headers)["ce_type"] for each in records] == [b"waggle.resume-run.v1"]


async def test_a_decision_on_a_run_that_has_moved_on_is_refused(gateway, store):
    """The request is still in the record of a run that a person has answered already."""
    run = await begin(store, "run-m")
    handoff = next(iter(run.steps.values())).handoff_id
    asked = HelpAsked(id="h", run_id="run-m", tenant="default", agent="data", handoff_id=handoff, question="Year?")
    request = first_asked(await apply(store, "run-m", asked))
    said = {"request_id": request.request_id, "decision": "approve", "answer": "2024"}
    await apply(store, "run-m", HumanDecided(run_id="run-m", tenant="default", by="ann", **said))
    answer = await gateway.post("/v1/runs/run-m/decisions", json={"by": "bob"} | said)
    assert error_of(answer, 409)["code"] in ("not_awaited", "wrong_state")


@pytest.mark.parametrize("body", [{}, {"by": "", "reason": "x"}, {"by": "a", "reason": " "}, {"by": "a", "why": "x"}])
async def test_a_command_that_lacks_who_or_why_is_refused(gateway, store, body):
    await begin(store, "run-e")
    error_of(await gateway.post("/v1/runs/run-e/cancel", json=body), 422)


async def test_a_decision_reaches_the_run_that_waits_for_it_and_no_other(gateway, store, settings):
    run = await begin(store, "run-h")
    decision = {"by": "ann", "request_id": "r", "decision": "approve", "answer": "2024"}
    assert error_of(await gateway.post("/v1/runs/run-h/decisions", json=decision), 409)["code"] == "not_awaited"
    handoff = next(iter(run.steps.values())).handoff_id
    asked = HelpAsked(id="h", run_id="run-h", tenant="default", agent="data", handoff_id=handoff, question="Year?")
    waiting = await apply(store, "run-h", asked)
    decision["request_id"] = first_asked(waiting).request_id
    assert (await gateway.post("/v1/runs/run-h/decisions", json=decision)).status_code == 202
    [record] = await records_of(settings, "decisions", 1)
    assert json.loads(record.value)["answer"] == "2024"
    unclear = await gateway.post("/v1/runs/run-h/decisions", json=decision | {"decision": "maybe"})
    assert "decision" in error_of(unclear, 422)["message"]


async def test_a_journal_is_shown_of_a_handoff_of_the_run_only(gateway, store, sentinel):
    await begin(store, "run-j")
    for work_id, prompt in (("run-j/s/0.0", "count"), ("run-k/s/0.0", "secret")):
        journal = await Journal(sentinel, "default", work_id, 60, AsyncMock()).open()
        await journal.write("turn-1", {"prompt": prompt})

    async def journal(handoff: str) -> httpx.Response:
        return await gateway.get("/v1/runs/run-j/journal", params={"handoff_id": handoff})

    assert (await journal("run-j/s/0.0.2")).json() == {"entries": {"turn-1": {"prompt": "count"}}}
    assert (await journal("run-j/s/2")).json() == {"entries": {}}
    error_of(await journal("run-k/s/0.0.1"), 404)


async def test_topics_are_listed_with_what_they_hold_and_how_far_their_groups_are(gateway, settings, redis):
    await announce(redis, AGENTS["data"])
    assert [agent["name"] for agent in (await gateway.get("/v1/agents")).json()] == ["data"]
    for _ in range(5):
        await gateway.post("/v1/tasks", json=TASK)

    async def topics() -> dict:
        return {each["topic"]: each for each in (await gateway.get("/v1/topics")).json()}

    prefix = settings.topic_prefix
    found = await topics()
    assert all(name.startswith(prefix) for name in found)
    told = {"Dead", "Empty", None}  # nobody is in it; the embedded broker does not say so
    [group] = found[prefix + "tasks"].pop("groups")
    assert found[prefix + "tasks"] == {"topic": prefix + "tasks", "partitions": 4, "messages": 5, "written": 5}
    assert (group["group"], group["lag"]) == (prefix + "orchestrator", 5)
    assert group["state"] in told
    assert group["members"] in {0, None}
    assert found[prefix + "agents.data"]["groups"][0]["lag"] == 0
    assert found[prefix + "timers"]["groups"][0]["lag"] is None
    assert found[prefix + "results"]["groups"] == []
    [record] = await records_of(settings, "tasks", 1)
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=prefix + "orchestrator") as consumer:
        partition = TopicPartition(record.topic, record.partition)
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(record.offset + 1, "")})
    assert (await topics())[prefix + "tasks"]["groups"][0]["lag"] == 4
