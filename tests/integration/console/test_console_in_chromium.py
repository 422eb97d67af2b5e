"""The console in a real Chromium without JavaScript: small and large, by keyboard alone, with hostile text."""

import json
import shutil
from pathlib import Path

import pytest

from shared.blackboard import RunStore
from tests.support.console import RUN, Gateway, console_for, pages_over, waits
from tests.support.gateway_fixtures import records_of, served, serving

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")

PAGES = [
    "/",
    "/runs",
    f"/runs/{RUN}",
    f"/runs/{RUN}?all=1",
    f"/runs/{RUN}/orders/cancel",
    f"/runs/{RUN}/question?id=q-1",
    f"/runs/{RUN}/question?id=q-old",
    "/inbox",
    "/login",
    "/no-such-page",
]

WIDTHS = (320, 1280)


@pytest.fixture(scope="module")
async def chromium():
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


class Watched:
    """A page, the requests it made and the violations of its policy."""

    def __init__(self, page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    def elsewhere(self, ours: str) -> list[str]:
        return [url for url in self.requests if not url.startswith(ours)]


@pytest.fixture
async def browse(chromium):
    """Opens a window without JavaScript."""
    contexts = []

    async def browse(width: int = 1280, **options) -> Watched:
        context = await chromium.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=False, **options
        )
        contexts.append(context)
        return Watched(await context.new_page())

    yield browse
    for context in contexts:
        await context.close()


@pytest.fixture(scope="module")
async def hostile():
    """The address of a console whose gateway answers with hostile text."""
    async with served(pages_over(Gateway())) as client:
        yield str(client.base_url)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_hostile_text_loads_nothing_violates_nothing_and_fits(browse, hostile, path, width):
    seen = await browse(width)
    await seen.page.goto(hostile + path)
    assert seen.elsewhere(hostile) == []
    assert [each for each in seen.complaints if "Failed to load resource" not in each] == []
    assert {url.removeprefix(hostile).partition("?")[0] for url in seen.requests} <= {
        path.partition("?")[0],
        "/static/console.css",
        "/static/icon.svg",
    }
    assert await _overflow(seen.page) <= width
    assert await seen.page.locator("h1").count() == 1
    assert await seen.page.locator("main script, img, iframe, style, object, embed, main [onfocus]").count() == 0


async def _overflow(page) -> int:
    """The width of the content. The protocol measures it without JavaScript in the page."""
    session = await page.context.new_cdp_session(page)
    measured = await session.send("Page.getLayoutMetrics")
    return measured["cssContentSize"]["width"]


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


@pytest.fixture
async def real(settings, topics, redis):
    """The address of a console in front of a real gateway."""
    async with serving(settings) as gateway, console_for(settings, str(gateway.base_url)) as console:
        yield str(console.base_url)


async def _tab_to(page, selector: str) -> None:
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} cannot be reached by keyboard")


async def test_an_approval_by_keyboard_alone(browse, real, store, settings):
    await waits(store, "run-a", "Send the mail?")
    seen = await browse()
    await seen.page.goto(f"{real}/")
    await _tab_to(seen.page, 'nav a[href="/inbox"]')
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url("**/inbox")
    await _tab_to(seen.page, 'input[name="by"]')
    await seen.page.keyboard.type("ann")
    await seen.page.keyboard.press("Enter")
    assert await seen.page.locator("form.decide:not(#batch)").count() == 1, "Enter in a field decides nothing"
    await _tab_to(seen.page, 'button[value="approve"]')
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url("**/inbox?notice=approve")
    [record] = await records_of(settings, "decisions", 1)
    assert b'"approve"' in record.value
    assert seen.elsewhere(real) == []
    assert seen.complaints == []


async def test_a_rejection_by_keyboard_alone_asks_for_its_reason(browse, real, store, settings):
    await waits(store, "run-a", "Send the mail?")
    seen = await browse(320)
    await seen.page.goto(f"{real}/inbox")
    await _tab_to(seen.page, 'input[name="by"]')
    await seen.page.keyboard.type("ann")
    await _tab_to(seen.page, 'button[value="reject"]')
    await seen.page.keyboard.press("Space")
    await seen.page.locator('[role="alert"]').wait_for()
    await _tab_to(seen.page, "textarea")
    await seen.page.keyboard.type("wrong person")
    await _tab_to(seen.page, 'button[value="reject"]')
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url("**/inbox?notice=reject")
    [record] = await records_of(settings, "decisions", 1)
    assert b"wrong person" in record.value
    assert json.loads(record.value)["by"] == "ann", "the name was kept"


async def test_the_first_tab_offers_to_skip_to_the_content(browse, hostile):
    seen = await browse()
    await seen.page.goto(f"{hostile}/runs")
    await seen.page.keyboard.press("Tab")
    assert await seen.page.locator("a.skip:focus").count() == 1
    await seen.page.keyboard.press("Enter")
    assert seen.page.url.endswith("#content")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_follow_the_readers_colours(browse, hostile, scheme, tmp_path):
    seen = await browse(color_scheme=scheme)
    await seen.page.goto(f"{hostile}/runs")
    shot = Path(tmp_path / "shot.png")
    await seen.page.screenshot(path=shot, clip={"x": 0, "y": 880, "width": 1, "height": 1})
    assert shot.stat().st_size > 0
