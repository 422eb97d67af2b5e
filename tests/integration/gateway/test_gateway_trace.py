"""Traces of runs at the gateway and on the command line: real HTTP, broker and Redis."""

import asyncio
import json
from datetime import UTC, datetime
from unittest.mock import AsyncMock

from typer.testing import CliRunner

from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import Progressed
from schemas.step import HandoffFailed, HelpAsked, Output, ResultReviewed, StepCompleted, answer_id
from services.cli.app import app
from shared.blackboard import Journal, append_live_event
from tests.support.gateway_fixtures import apply, begin, cancel, error_of

AWAY = ErrorInfo(code="model_unavailable", message="the model is away", retryable=True)


async def working(sentinel, run, *doing: str | int) -> None:
    """Activities as an agent reports them; a number is a turn of the model."""
    for what in doing:
        at, turn = datetime.now(UTC), what if isinstance(what, int) else None
        fields = {"run_id": run.id, "tenant": run.tenant, "at": at, "by": "data", "step_id": "data", "agent": "data"}
        await append_live_event(
            sentinel.scripts, Progressed(**fields, doing=f"thinking (turn {turn})" if turn else what, turn=turn)
        )


async def journaled(sentinel, run, *turns: tuple[int, int]) -> None:
    """Turns of the first round, in order: in which attempt each was taken, and its prompt's tokens."""
    journal = await Journal(sentinel, run.tenant, f"{run.id}/data/0.0", 60, AsyncMock()).open()
    for turn, (attempt, tokens) in enumerate(turns, 1):
        reply = {"model": "m", "usage": {"prompt_tokens": tokens, "cost_usd": 0.001}, "content": "secret words"}
        await journal.write(f"think-1/turn-{turn}", {"added": [], "reply": reply, "try": attempt})
    await journal.write("think-1/turn-1/call-1", "what the tool found")


def answer(kind, run, handoff_id: str, tokens: int = 0, **fields):
    usage = Usage(prompt_tokens=tokens, cost_usd=tokens / 10_000)
    who = {"agent": "data", "run_id": run.id, "tenant": run.tenant, "handoff_id": handoff_id}
    return kind(id=answer_id(handoff_id), usage=usage, **who | fields)


async def retried(store, sentinel, run_id: str):
    """A run whose step failed in its second turn, and then was done."""
    run = await begin(store, run_id)
    await working(sentinel, run, 1, "query {}", 2)
    first = run.steps["data"].handoff_id
    run = await apply(store, run_id, answer(HandoffFailed, run, first, 10, error=AWAY))
    second = run.steps["data"].handoff_id
    await working(sentinel, run, 2)
    await journaled(sentinel, run, (1, 10), (2, 30))
    run = await apply(store, run_id, answer(StepCompleted, run, second, 30, output=Output(answer="7")))
    review = run.reviewing.handoff_id
    return await apply(store, run_id, answer(ResultReviewed, run, review, 5, agent="reviewer", accepted=True))


async def trace_of(gateway, run_id: str, **query: str) -> dict:
    found = await gateway.get(f"/v1/runs/{run_id}/trace", params=query)
    assert found.status_code == 200, found.text
    return found.json()


async def test_attempts_turns_and_calls_are_shown_with_their_durations(gateway, store, sentinel):
    run = await retried(store, sentinel, "run-a")
    trace = await trace_of(gateway, "run-a")
    assert (trace["state"], trace["retries"], trace["usage"]) == ("COMPLETE", 1, run.usage.model_dump())
    step, review = trace["works"]
    assert [(each["id"], each["retries"], each["usage"]["prompt_tokens"]) for each in (step, review)] == [
        ("data", 1, 40),
        ("reviewer", 0, 5),
    ]
    failed, done = step["attempts"]
    assert (failed["status"], failed["error"]["code"], failed["usage"]["prompt_tokens"]) == (
        "failed",
        "model_unavailable",
        10,
    )
    assert (done["status"], done["error"], done["usage"]["prompt_tokens"]) == ("done", None, 30)
    assert [(each["what"], (each["usage"] or {}).get("prompt_tokens")) for each in failed["actions"]] == [
        ("thinking (turn 1)", 10),
        ("query {}", None),
        ("thinking (turn 2)", None),
    ]
    assert [(each["what"], each["model"]) for each in done["actions"]] == [("thinking (turn 2)", "m")]
    assert sum(each["seconds"] for each in failed["actions"]) <= failed["seconds"]
    assert trace["seconds"] >= round(step["seconds"] + review["seconds"], 6) > 0
    assert "secret words" not in json.dumps(trace)


async def test_a_run_is_traced_for_its_tenant_only(gateway, store, sentinel):
    await begin(store, "run-a", tenant="acme")
    error_of(await gateway.get("/v1/runs/run-a/trace"), 404)
    error_of(await gateway.get("/v1/runs/run-a/trace", params={"tenant": "shop"}), 404)
    assert [each["id"] for each in (await trace_of(gateway, "run-a", tenant="acme"))["works"]] == ["data"]


async def test_running_work_is_shown_as_open_and_ends_with_the_run(gateway, store, sentinel):
    run = await begin(store, "run-a")
    await working(sentinel, run, 1)
    [attempt] = (await trace_of(gateway, "run-a"))["works"][0]["attempts"]
    assert (attempt["status"], attempt["seconds"], attempt["actions"][0]["seconds"]) == ("running", None, None)
    await cancel(store, "default", "run-a")
    [attempt] = (await trace_of(gateway, "run-a"))["works"][0]["attempts"]
    assert attempt["status"] == "given up"
    assert 0 < attempt["actions"][0]["seconds"] <= attempt["seconds"]


async def test_an_answer_that_came_too_late_is_charged_to_the_attempt_it_is_of(gateway, store):
    run = await begin(store, "run-a")
    first = run.steps["data"].handoff_id
    await apply(store, "run-a", answer(HandoffFailed, run, first, 10, error=AWAY))
    await apply(store, "run-a", answer(StepCompleted, run, first, 2, output=Output(answer="7")))
    failed, running = (await trace_of(gateway, "run-a"))["works"][0]["attempts"]
    assert (failed["status"], failed["usage"]["prompt_tokens"]) == ("failed", 12)
    assert (running["status"], running["usage"]["prompt_tokens"]) == ("running", 0)


async def test_a_question_is_a_persons_work(gateway, store):
    run = await begin(store, "run-a")
    asked = answer(HelpAsked, run, run.steps["data"].handoff_id, question="Which year?")
    await apply(store, "run-a", asked)
    step, person = (await trace_of(gateway, "run-a"))["works"]
    assert [(each["status"], each["note"]) for each in step["attempts"]] == [("asks", "Which year?")]
    assert (person["agent"], person["objective"], person["attempts"][0]["status"]) == (
        "person",
        "Which year?",
        "running",
    )


async def test_turns_known_only_to_the_journal_are_shown_without_their_time(gateway, store, sentinel):
    run = await begin(store, "run-a")
    await journaled(sentinel, run, (1, 10), (1, 20))
    [attempt] = (await trace_of(gateway, "run-a"))["works"][0]["attempts"]
    assert [(each["at"], each["turn"], each["usage"]["prompt_tokens"]) for each in attempt["actions"]] == [
        (None, 1, 10),
        (None, 2, 20),
    ]


async def test_a_task_that_is_on_its_way_has_done_nothing_yet(gateway):
    submitted = (await gateway.post("/v1/tasks", json={"objective": "count"})).json()
    trace = await trace_of(gateway, submitted["run_id"])
    assert (trace["state"], trace["works"], trace["trace_id"]) == ("INTAKE", [], None)


async def test_the_command_line_shows_it_as_a_tree(gateway, store, sentinel):
    await retried(store, sentinel, "run-a")
    arguments = ["trace", "run-a", "--gateway", str(gateway.base_url)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert shown.exit_code == 0, shown.output
    names = [line.strip("│├└─ ").partition("  ")[0] for line in shown.stdout.splitlines()]
    assert [name for name in names if not name.startswith("+")] == ["run-a", "data", "reviewer"]
    assert "45 tokens, $0.0045  1 retry" in shown.stdout.splitlines()[0]
    assert "attempt 1 failed: the model is away [model_unavailable]" in shown.stdout
    assert "m, 30 tokens, $0.0010" in shown.stdout


async def test_a_run_of_two_thousand_turns_is_shown_whole(gateway, store, sentinel):
    run = await begin(store, "run-a")
    await working(sentinel, run, *range(1, 2_001))
    await journaled(sentinel, run, *[(1, 1)] * 2_000)
    [attempt] = (await trace_of(gateway, "run-a"))["works"][0]["attempts"]
    assert len(attempt["actions"]) >= 2_000
    assert all(each["usage"] for each in attempt["actions"])
