"""Live pages in a real Chromium: changes are seen without reloading, safely, and over the end of a replica."""

import asyncio
import re
import shutil
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from schemas.approval import HumanDecided
from schemas.event import Progressed
from schemas.plan import Risk
from services.console import live, live_pages
from services.console.service import application
from services.console.settings import ConsoleSettings
from shared.blackboard import RunStore, announce, append_live_event, keys
from shared.blackboard.agents import SILENT_AFTER
from tests.support.console import ELSEWHERE, HOSTILE, Keys, Visit, console_for, waits
from tests.support.gateway_fixtures import AGENTS, apply, begin, cancel, records_of, served, serving
from tests.support.stages import long_work

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")

RUN = "run-a"


@pytest.fixture(scope="module")
async def chromium():
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest.fixture
async def page(chromium):
    """A page that remembers what it has asked for, what its policy refused, and how often it was loaded."""
    context = await chromium.new_context()
    page = await context.new_page()
    page.asked, page.complaints, page.loads = [], [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("load", lambda _: page.loads.append(1))
    yield page
    await context.close()


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=3_600)


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield str(client.base_url)


@pytest.fixture
async def console(settings, gateway):
    async with console_for(settings, gateway) as client:
        yield client


async def doing(sentinel, run, what: str) -> None:
    """An activity as the agent of the step `data` reports it."""
    fields = {"run_id": run.id, "tenant": run.tenant, "by": "data", "step_id": "data", "agent": "data"}
    await append_live_event(sentinel.scripts, Progressed(**fields, at=datetime.now(UTC), doing=what))


async def connected(page) -> None:
    """Wait until the page has its stream and the first update."""
    await page.locator("#said").filter(has_text=re.compile(r"\w")).wait_for(state="attached")


async def test_a_run_is_followed_without_a_reload_and_its_end_closes_the_stream(page, console, store, sentinel):
    run = await begin(store, RUN, "count the orders")
    await page.goto(f"{console.base_url}/runs/{RUN}")
    await connected(page)
    await doing(sentinel, run, "reads the table of orders")
    await page.get_by_text("reads the table of orders").wait_for()
    said = page.get_by_role("status").filter(has_text="The run is")
    assert await said.get_attribute("aria-live") == "polite"
    await cancel(store, "default", RUN)
    await page.locator("#run-state .state-cancelled").wait_for()
    await said.filter(has_text="cancelled").wait_for(state="attached")
    streams = len([url for url in page.asked if url.endswith("/live")])
    await asyncio.sleep(3)
    assert len([url for url in page.asked if url.endswith("/live")]) == streams == 1
    assert "no longer updates itself" in await page.locator("#freshness").inner_text()
    assert page.loads == [1]
    assert page.complaints == []


async def test_a_page_beyond_the_bounds_says_so_and_asks_no_more(page, console, store, monkeypatch):
    monkeypatch.setattr(live, "FEEDS_OF_ONE", 0)
    await begin(store, RUN, "count the orders")
    await page.goto(f"{console.base_url}/runs/{RUN}")
    await page.locator("#freshness").filter(has_text="this one does not update itself").wait_for()
    await asyncio.sleep(2)
    assert len([url for url in page.asked if url.endswith("/live")]) == 1
    assert page.complaints == []


async def test_an_agent_that_stops_and_starts_again_is_seen_without_an_event(page, console, store, redis, monkeypatch):
    monkeypatch.setattr(live_pages, "UNTOLD", 0.2)
    await announce(redis, AGENTS["data"])
    await begin(store, RUN, "count the orders")
    await page.goto(f"{console.base_url}/runs/{RUN}")
    await connected(page)
    gone = page.get_by_text("Agent data does not seem to be running")
    assert await gone.count() == 0
    await redis.zadd(keys.AGENTS_SEEN, {"data": time.time() - SILENT_AFTER - 2})
    await gone.wait_for()
    await announce(redis, AGENTS["data"])
    await gone.wait_for(state="detached")


async def test_details_that_a_reader_has_closed_stay_closed_while_the_page_changes(page, console, store, sentinel):
    run = await long_work(store, sentinel, RUN, turns=3)
    await page.goto(f"{console.base_url}/runs/{RUN}")
    await connected(page)
    details = page.locator("#run-timeline details").first
    await details.locator("summary").click()
    assert await details.get_attribute("open") is None
    await doing(sentinel, run, "reads the table of orders")
    await page.get_by_text("reads the table of orders").wait_for(state="attached")
    assert await details.get_attribute("open") is None


async def test_hostile_text_that_arrives_live_loads_and_runs_nothing(page, console, store, sentinel):
    run = await begin(store, RUN, HOSTILE)
    await page.goto(f"{console.base_url}/runs/{RUN}")
    await connected(page)
    await doing(sentinel, run, HOSTILE + "<hx-partial hx-target='body'><h1>taken</h1></hx-partial> the end of it")
    await page.locator("#run-timeline").get_by_text("the end of it").wait_for(state="attached")
    assert await page.locator("main :is(script, img, iframe, style, object, embed, [onfocus], [style])").count() == 0
    assert await page.locator("h1").count() == 1
    assert [url for url in page.asked if ELSEWHERE in url or not url.startswith(str(console.base_url))] == []
    assert page.complaints == []


async def test_a_page_is_followed_although_the_second_script_arrives_late(page, console, store):
    async def late(route) -> None:
        await asyncio.sleep(1)
        await route.continue_()

    await page.route("**/hx-sse-*.js", late)
    await page.goto(f"{console.base_url}/inbox")
    await connected(page)


async def test_the_overview_shows_a_new_question_without_a_reload(page, console, store):
    await page.goto(f"{console.base_url}/")
    await page.get_by_text("Nothing waits for a decision").wait_for()
    await waits(store, RUN, "Send the mail?")
    await page.get_by_role("link", name="Send the mail?").wait_for()
    assert page.loads == [1]
    assert page.complaints == []


def card_of(page, question: str):
    return page.locator("#questions > li:visible").filter(has=page.get_by_role("link", name=question))


def message_in(card):
    return card.get_by_label("Message")


async def answered(store, run) -> None:
    """The answer of another person, which the run has taken."""
    [(request_id, question)] = run.questions.items()
    about = {"run_id": run.id, "tenant": run.tenant, "by": "bob", "request_id": request_id}
    await apply(
        store, run.id, HumanDecided(**about, decision="reject", answer="no", digest=question.asked.proposal.digest)
    )


@pytest.fixture
async def inbox(page, console, store):
    """Three questions on an open page, and their runs."""
    runs = [await waits(store, f"run-{n}", f"Question {n}?", Risk.MEDIUM) for n in range(3)]
    answer = await page.goto(f"{console.base_url}/inbox")
    assert answer.status == 200
    await connected(page)
    return runs


async def test_the_inbox_changes_without_a_reload_and_keeps_text_focus_and_choice(page, store, inbox):
    await card_of(page, "Question 2?").get_by_label("Choose for several").check()
    await page.locator("#batch-message").fill("for all of them")
    await message_in(card_of(page, "Question 1?")).press_sequentially("half a sen")
    await waits(store, "run-new", "A riskier one?", Risk.CRITICAL)
    await card_of(page, "A riskier one?").wait_for()
    await answered(store, inbox[0])
    await card_of(page, "Question 0?").wait_for(state="detached")
    await page.keyboard.type("tence")
    assert await message_in(card_of(page, "Question 1?")).input_value() == "half a sentence"
    assert await card_of(page, "Question 2?").get_by_label("Choose for several").is_checked()
    assert await page.locator("#batch-message").input_value() == "for all of them"
    shown = await page.locator("#questions > li:visible h2 a").all_inner_texts()
    assert shown == ["A riskier one?", "Question 1?", "Question 2?"]
    await page.get_by_text("3 open, riskiest first").wait_for()
    await page.locator("#said").filter(has_text="3 open questions.").wait_for(state="attached")
    assert (page.loads, page.complaints) == ([1], [])


async def test_a_card_at_which_a_visitor_is_at_work_stays_when_its_question_is_answered(page, store, inbox):
    await message_in(card_of(page, "Question 1?")).press_sequentially("my careful rea")
    for run in inbox:
        await answered(store, run)
    await page.locator("#questions p:visible").filter(has_text="has left this page").wait_for()
    await page.keyboard.type("sons")
    assert await message_in(card_of(page, "Question 1?")).input_value() == "my careful reasons"
    assert await page.locator("#questions > li:visible").count() == 1
    await page.get_by_text("Nothing waits for a decision").wait_for()
    assert (page.loads, page.complaints) == ([1], [])


async def test_a_question_that_arrived_live_is_answered_from_its_card(page, store, settings, inbox):
    await waits(store, "run-new", "A riskier one?", Risk.CRITICAL)
    card = card_of(page, "A riskier one?")
    await card.get_by_label("Your name").fill("ann")
    await card.get_by_role("button", name="Approve").click()
    await page.wait_for_url("**/inbox?notice=approve")
    [record] = await records_of(settings, "decisions", 1)
    assert b"run-new" in record.value


async def test_a_run_that_is_cancelled_takes_its_questions_out_of_an_open_inbox(page, store, inbox):
    await cancel(store, "default", "run-1")
    await card_of(page, "Question 1?").wait_for(state="detached")
    assert await page.locator("#questions > li:visible").count() == 2
    assert (page.loads, page.complaints) == ([1], [])


async def test_hostile_text_of_a_question_that_arrives_live_is_text(page, console, store, inbox):
    taken = "<hx-partial hx-target='body'><h1>taken</h1></hx-partial></ol></form>"
    await waits(store, "run-hostile", taken + HOSTILE, Risk.CRITICAL, objective=taken + HOSTILE)
    await page.locator("#questions").get_by_text("taken").first.wait_for()
    assert await page.locator("main :is(script, img, iframe, style, object, embed, [onfocus], [style])").count() == 0
    assert await page.locator("h1").count() == 1
    assert await page.locator("#questions > li:visible").count() == 4
    assert [url for url in page.asked if ELSEWHERE in url or not url.startswith(str(console.base_url))] == []
    assert page.complaints == []


@asynccontextmanager
async def balancer(*targets: int):
    """A port in front of several, of which it takes the first that answers."""
    pipes = set()

    async def pipe(reader, writer) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def forward(reader, writer) -> None:
        for port in targets:
            with suppress(OSError):
                from_target, to_target = await asyncio.open_connection("127.0.0.1", port)
                break
        else:
            writer.close()
            return
        for task in (pipe(reader, to_target), pipe(from_target, writer)):
            pipes.add(asyncio.create_task(task))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in pipes:
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)


async def test_a_page_reconnects_to_another_replica_when_its_own_ends(page, settings, gateway, store, sentinel):
    run = await begin(store, RUN, "count the orders")
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        app = application(settings, ConsoleSettings(gateway=gateway))
        one = await first.enter_async_context(served(app))
        two = await stack.enter_async_context(served(application(settings, ConsoleSettings(gateway=gateway))))
        port = await stack.enter_async_context(balancer(one.base_url.port, two.base_url.port))
        await page.goto(f"http://127.0.0.1:{port}/runs/{RUN}")
        await connected(page)
        await doing(sentinel, run, "before the end of the replica")
        await page.get_by_text("before the end of the replica").wait_for()
        await first.aclose()
        await doing(sentinel, run, "after the end of the replica")
        await page.get_by_text("after the end of the replica").wait_for(timeout=20_000)
        assert page.loads == [1]
        assert [each for each in page.complaints if "ERR_" not in each and "network error" not in each] == []


async def test_a_log_out_ends_the_streams_of_the_session(settings, topics, redis, store, tmp_path):
    keys = Keys(tmp_path / "keys.toml")
    keys.add("ann", ["read"])
    await begin(store, RUN)
    async with (
        serving(settings, principals=keys.path) as gateway,
        console_for(settings, str(gateway.base_url)) as client,
    ):
        visit = Visit(client)
        assert "event: over" in (await client.get(f"/runs/{RUN}/live")).text, "without a key nothing is opened"
        await visit.log_in(keys.keys["ann"])
        async with asyncio.timeout(15), client.stream("GET", f"/runs/{RUN}/live") as stream:
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("id: ")
            await visit.send("/logout", form="/")
            rest = [line async for line in lines]
        assert "event: over" in rest


async def test_a_stream_resumes_without_repeating_what_the_page_has(console, store):
    await begin(store, RUN)
    async with console.stream("GET", f"/runs/{RUN}/live") as stream:
        id = (await anext(stream.aiter_lines())).removeprefix("id: ")
    async with console.stream("GET", f"/runs/{RUN}/live", headers={"Last-Event-ID": id}) as stream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await anext(stream.aiter_lines())
