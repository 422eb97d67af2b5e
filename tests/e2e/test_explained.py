"""Five broken runs, each explained by the console alone: on the overview first, then on the page of the run."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from tests.conftest import started
from tests.support.console import said
from tests.support.swarm import envelope, publish, result_of, submit

pytestmark = pytest.mark.broker

SERVICES = [
    "gateway",
    "console",
    "orchestrator",
    "timekeeper",
    "planner",
    "reviewer",
    "writer",
    "research",
    "communication",
]


@pytest.fixture(scope="module")
async def swarm(own_kafka, model, tmp_path_factory):
    given = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "x"}
    async with started(tmp_path_factory.mktemp("explained"), os.environ | given, SERVICES) as stack:
        yield stack


@pytest.fixture
async def gateway(swarm):
    async with httpx.AsyncClient(base_url=swarm.endpoints["WAGGLE_GATEWAY"], timeout=30) as client:
        yield client


@pytest.fixture
async def console(swarm):
    async with httpx.AsyncClient(base_url=swarm.endpoints["WAGGLE_CONSOLE_URL"], timeout=30) as client:
        yield client


async def shows(console, path: str, *words: str, seconds: float = 60) -> str:
    """The page as soon as it shows all words."""
    page = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                page = said((await console.get(path)).text)
                if all(each in page for each in words):
                    return page
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise AssertionError(f"{[each for each in words if each not in page]} are not in: {page}") from None


@asynccontextmanager
async def frozen(swarm, service: str):
    """A service whose process does nothing for as long as a block."""
    pid = next(each for each in swarm._children if each.name == service).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_lost_worker_is_named_where_the_run_is_and_on_the_overview(swarm, gateway, console):
    async with frozen(swarm, "research"):
        run_id = await submit(gateway, "When is high tide?", shape="single", agent="research", budget={"seconds": 600})
        await shows(
            console, f"/runs/{run_id}", "executing", "Agent research does not seem to be running", "Its work waits"
        )
        await shows(console, "/", "no replica seems to run: research for", "start these services")
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", "the work had waited for the agent"
    assert "does not seem to be running" not in await shows(console, f"/runs/{run_id}", "complete")


async def test_an_exhausted_budget_says_which_limit_and_how_much_of_it(gateway, console):
    limits = {"model_calls": 1}
    run_id = await submit(gateway, "When is high tide?", shape="single", agent="research", budget=limits)
    await result_of(gateway, run_id)
    await shows(console, "/", "Latest failed runs", "When is high tide?")
    await shows(console, f"/runs/{run_id}", "budget.model_calls is 1", "raise the budget of the task", "1 of 1 (100 %)")


async def test_a_stopped_tenant_is_named_with_operator_and_reason(gateway, console):
    order = {"reason": "an invoice is disputed", "by": "ops"}
    assert (await gateway.put("/v1/stops/tenant:shop", json=order)).status_code == 202
    run_id = await submit(gateway, "When is high tide?", shape="single", agent="research", tenant="shop")
    await shows(console, "/", "Stopped by operators", "tenant:shop", "by ops", "an invoice is disputed")
    await shows(
        console,
        f"/runs/{run_id}?tenant=shop",
        "Agent research waits: tenant:shop was stopped by ops: an invoice is disputed",
    )


async def test_an_unanswered_question_says_what_is_asked_and_what_each_answer_does(gateway, console):
    to = ", ".join(f"{uuid4().hex[:6]}@example.org" for _ in range(6))
    run_id = await submit(gateway, f"Write a short note on tides and mail it to {to}")
    await shows(console, "/", "Needs a person", "Open the inbox", "waiting for a person")
    await shows(
        console, f"/runs/{run_id}", "Waits for an answer", "A person must decide", "send_email", to.split(",")[0]
    )
    await shows(console, "/inbox", "send_email is called once", "Reject", "cannot be undone")


async def test_a_poisoned_message_is_shown_with_its_reason_and_place(swarm, console):
    task_id = f"broken-{uuid4().hex[:8]}"
    topic = swarm._environment["WAGGLE_TOPIC_PREFIX"] + "tasks"
    await publish(swarm, topic, b'{"objective": 7', **envelope(task_id))
    page = await shows(console, "/", "Latest records that could not be processed", "tasks.dlt/", "invalid")
    name = next(each for each in page.split() if each.startswith("tasks.dlt/"))
    await shows(console, f"/dead-letters/{name}", "/shop", "Redrive", "Discard", task_id)
