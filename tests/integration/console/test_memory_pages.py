"""Memories in the console, in front of a real gateway, broker, Redis and Postgres: by form alone, and in a Chromium."""

import re
import shutil

import pytest

from schemas.memory import MemoryKind
from tests.support.console import ELSEWHERE, HOSTILE, Visit, console_for, said
from tests.support.gateway_fixtures import serving
from tests.support.memories import memory
from tests.support.remembering import emptied, remembering

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.broker

FACT = {"kind": MemoryKind.SEMANTIC, "tenant": "default"}
ADA = memory("Ada prefers reports by mail", 1, subject="Ada", run="run-a", session="trip", **FACT)
CLAIM = memory(HOSTILE, 2, subject="Ada", taint=[f"page:{ELSEWHERE}"], **FACT)


@pytest.fixture
async def console(settings, topics, sentinel, parts):
    store = await emptied(parts["WAGGLE_POSTGRES"])
    async with (
        serving(settings) as gateway,
        console_for(settings, str(gateway.base_url)) as client,
        remembering(settings, sentinel),
    ):
        client.memories = store
        yield client
    await store.close()


async def keep(console, *memories):
    await console.memories.put("default", memories)


async def test_the_list_of_nothing_explains_what_fills_it_and_a_filter_that_nothing_matches_says_so(console):
    visit = Visit(console)
    assert "Nothing is remembered yet" in said((await visit.open("/memories")).text)
    await keep(console, ADA)
    assert "Ada prefers reports" in said((await visit.open("/memories?subject=Ada&kind=semantic")).text)
    assert "No memory matches" in said((await visit.open("/memories?subject=Bo")).text)


async def test_hostile_content_is_text_in_lists_searches_forms_and_details(console):
    await keep(console, CLAIM, CLAIM.model_copy(update={"kind": MemoryKind.EPISODIC, "candidate": False}))
    visit = Visit(console)
    for path in ("/memories", f"/memories/{CLAIM.id}", "/memories/search?text=alert"):
        page = (await visit.open(path)).text
        assert f"<script src='https://{ELSEWHERE}" not in page
        assert "&lt;script src" in page


async def test_a_candidate_is_shown_as_such_and_confirmed_by_form(console):
    await keep(console, CLAIM)
    visit = Visit(console)
    assert "A candidate" in said((await visit.open(f"/memories/{CLAIM.id}")).text)
    answer = await visit.send(f"/memories/{CLAIM.id}/confirm", version="1", reason="I asked", by="bob")
    assert answer.status_code == 303
    page = said((await visit.open(answer.headers["location"])).text)
    for words in ("agents recall it as a fact", "Confirmed by", "bob", "I asked"):
        assert words in page
    assert "A candidate" not in page


async def test_a_correction_of_an_older_version_is_refused_and_what_was_written_is_kept(console):
    await keep(console, ADA)
    visit, path = Visit(console), f"/memories/{ADA.id}"
    about = {"was_content": ADA.content, "was_subject": "Ada", "subject": "Ada", "version": "1", "by": "bob"}
    answer = await visit.send(f"{path}/correct", content="Ada prefers calls", **about)
    assert answer.status_code == 303
    assert "Ada prefers calls" in said((await visit.open(path)).text)
    refused = await visit.send(f"{path}/correct", content="Ada prefers fax", **about)
    assert (refused.status_code, "memory_changed" in refused.text) == (409, True)
    assert "Ada prefers fax" in refused.text
    assert [each.version for each in await console.memories.get("default", [ADA.id])] == [2]


async def test_a_memory_is_pinned_unpinned_and_forgotten(console):
    await keep(console, ADA)
    visit, path = Visit(console), f"/memories/{ADA.id}"
    for verb, words in (("pin", "is pinned"), ("unpin", "no longer pinned")):
        answer = await visit.send(f"{path}/{verb}", by="bob")
        assert words in said((await visit.open(answer.headers["location"])).text)
    assert (await visit.send(f"{path}/forget", by="bob")).status_code == 422
    answer = await visit.send(f"{path}/forget", by="bob", reason="it is wrong")
    assert "forgotten for good" in said((await visit.open(answer.headers["location"])).text)
    gone = await visit.open(path)
    assert (gone.status_code, "unknown_memory" in gone.text) == (404, True)


async def test_a_selection_is_counted_before_it_is_forgotten(console):
    await keep(console, ADA, CLAIM)
    visit = Visit(console)
    counted = said((await visit.open("/forget?by=subject&value=Ada")).text)
    assert "2 memories, 1 of them candidates" in counted
    assert "cannot be undone" in counted
    order = {"kind": "subject", "value": "Ada", "by": "bob"}
    assert (await visit.send("/forget", **order, expected="2")).status_code == 422
    refused = await visit.send("/forget", **order, expected="1", reason="she asked")
    assert (refused.status_code, "more_than_expected" in refused.text) == (409, True)
    answer = await visit.send("/forget", **order, expected="2", reason="she asked")
    assert answer.status_code == 303
    page = (await visit.open(answer.headers["location"])).text
    assert "subject sha256:" in said(page)
    order = re.search(r'href="(/forgettings/[^"]+)"', page)[1]
    assert "by bob" in said((await visit.open(order)).text)
    assert "Nothing is remembered yet" in said((await visit.open("/memories")).text)


async def test_a_form_from_elsewhere_changes_and_forgets_nothing(console):
    await keep(console, ADA)
    headers = {"Origin": str(console.base_url).rstrip("/")}
    order = {"version": "1", "content": "x", "reason": "x", "by": "eve", "kind": "everything", "expected": "9"}
    for verb in ("correct", "pin", "unpin", "confirm", "forget"):
        assert (await console.post(f"/memories/{ADA.id}/{verb}", data=order, headers=headers)).status_code == 403
    assert (await console.post("/forget", data=order, headers=headers)).status_code == 403
    assert await console.memories.get("default", [ADA.id]) == [ADA]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")
async def test_a_person_finds_corrects_and_forgets_a_memory_in_a_browser(console):
    await keep(console, ADA)
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page, complaints = await browser.new_page(), []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{console.base_url}/memories")
        await page.get_by_label("Words").fill("reports")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="Ada prefers reports by mail").click()
        await page.locator("#correct summary").click()
        await page.get_by_label("Content").fill("Ada prefers calls")
        await page.locator("#correct").get_by_label("Your name").fill("bob")
        await page.get_by_role("button", name="Correct it").click()
        await page.get_by_text("The memory is corrected").wait_for()
        assert await page.get_by_text("Ada prefers calls").first.is_visible()
        await page.locator("#forget summary").click()
        await page.locator("#forget").get_by_label("Reason").fill("no longer needed")
        await page.get_by_role("button", name="Forget it for good").click()
        await page.wait_for_url(re.compile("notice=forget"))
        assert complaints == []
        await browser.close()
