"""Conversations in the console: in a real Chromium with a run that ends while it is looked at, and by form alone."""

import re
import shutil
from urllib.parse import quote

import pytest

from schemas.approval import EndSession
from schemas.task import Task
from shared.blackboard import RunStore
from tests.support.console import Visit, console_for, waits
from tests.support.gateway_fixtures import apply, begin, cancel, records_of, serving

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
browsing = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=3_600)


@pytest.fixture
async def console(settings, topics, redis):
    async with serving(settings) as gateway, console_for(settings, str(gateway.base_url)) as client:
        yield client


@pytest.fixture
async def page():
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        found = await browser.new_page()
        found.complaints, found.loads = [], []
        found.on("console", lambda message: found.complaints.append(message.text))
        found.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.on("load", lambda _: found.loads.append(1))
        yield found
        await browser.close()


async def task_of(settings, number: int = 1) -> Task:
    """The newest of so many tasks; partitions are read in any order."""
    newest = max(await records_of(settings, "tasks", number), key=lambda record: record.timestamp)
    return Task.model_validate_json(newest.value)


@browsing
async def test_a_conversation_is_started_followed_and_continued_without_a_reload(page, console, store, settings):
    await page.goto(f"{console.base_url}/sessions")
    await page.get_by_label("Begin a conversation").last.fill("count the orders")
    await page.get_by_role("textbox", name=re.compile("Name")).fill("trip")
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_url(re.compile(r"/sessions/trip\?run=run-"))
    run_id = re.search(r"run=(run-\w+)", page.url)[1]
    assert (await task_of(settings)).session == "trip"
    loads = len(page.loads)
    await begin(store, run_id, "count the orders", session="trip")
    await page.locator("#turns .state-running").first.wait_for()
    await cancel(store, "default", run_id)
    await page.locator("#turns .state-cancelled").wait_for()
    assert len(page.loads) == loads
    await page.get_by_label("It is a task that is given the turns above").fill("and by month?")
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_url(re.compile(r"run=run-"))
    task = await task_of(settings, 2)
    assert (task.objective, task.session) == ("and by month?", "trip")
    assert page.complaints == []


@browsing
async def test_a_question_of_a_run_is_shown_with_the_way_to_its_answer(page, console, store):
    await waits(store, "run-a", "Send the mail?", session="trip")
    await page.goto(f"{console.base_url}/sessions/trip")
    link = page.get_by_role("link", name="Answer it")
    assert "/runs/run-a/question?id=" in await link.get_attribute("href")


async def test_a_conversation_is_ended_by_a_form_and_says_by_whom(console, store, settings):
    await begin(store, "run-a", session="a/bc")
    await cancel(store, "default", "run-a")
    visit, path = Visit(console), f"/sessions/{quote('a/bc', safe='')}"
    answer = await visit.send(f"{path}/end", by="ada")
    assert answer.status_code == 303
    [record] = await records_of(settings, "control", 1)
    command = EndSession.model_validate_json(record.value)
    assert (command.session, command.by, command.run_id) == ("a/bc", "ada", "run-a")
    await apply(store, "run-a", command)
    shown = (await visit.open(path)).text
    assert "Ended by ada" in shown
    assert "by ada" in (await visit.open("/sessions")).text


async def test_nothing_said_and_a_bad_name_are_refused_with_what_was_written_kept(console):
    visit = Visit(console)
    answer = await visit.send("/sessions", objective="", session="trip")
    assert (answer.status_code, "Nothing was said" in answer.text) == (422, True)
    answer = await visit.send("/sessions", objective="count the orders", session="two words")
    assert answer.status_code == 422
    assert "count the orders" in answer.text
    assert "two words" in answer.text


async def test_a_form_from_elsewhere_says_and_ends_nothing(console, store):
    await begin(store, "run-a", session="trip")
    for path in ("/sessions", "/sessions/trip/say", "/sessions/trip/end"):
        said = {"objective": "pay", "by": "eve"}
        answer = await console.post(path, data=said, headers={"Origin": str(console.base_url).rstrip("/")})
        assert answer.status_code == 403


async def test_an_unknown_conversation_says_what_to_do(console):
    answer = await Visit(console).open("/sessions/nowhere")
    assert answer.status_code == 404
    assert "unknown_session" in answer.text


async def test_the_page_of_a_run_leads_to_its_conversation(console, store):
    await begin(store, "run-a", session="trip")
    assert 'href="/sessions/trip"' in (await Visit(console).open("/runs/run-a")).text
