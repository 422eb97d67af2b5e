"""Every page of the console in every state, in a real Chromium: axe, keyboard, width, policy and requests."""

import shutil
from contextlib import AsyncExitStack

import pytest
from fastapi.routing import APIRoute

from services.console.routes import ROUTERS
from tests.support.accessible import ALL, OF_COLOURS, findings
from tests.support.console import pages_over
from tests.support.console_pages import GATEWAYS, NO_PAGES, PAGES, Shown
from tests.support.gateway_fixtures import served

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")

VIEWS = [(width, *colours) for width in (1280, 320) for colours in (("light", ALL), ("dark", OF_COLOURS))]

REACHABLE = """() => {
  const controls = 'a[href], button, input:not([type="hidden"]), select, textarea, summary, [tabindex="0"]';
  const closed = each => each.closest("details:not([open]) > :not(summary)");
  const groups = new Set();
  return [...document.querySelectorAll(controls)].filter(each => {
    if (each.disabled || closed(each) || !each.checkVisibility({visibilityProperty: true})) return false;
    if (each.type !== "radio") return true;
    const group = [...document.forms].indexOf(each.form) + each.name;
    return !groups.has(group) && groups.add(group);
  }).length;
}"""
"""Number of places that Tab has to reach: a group of radio buttons is one."""

TO_THE_TOP = """() => {
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
}"""

WATCH = """() => {
  window.walked = new Map();
  document.addEventListener("focusin", ({target}) => {
    const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(target);
    const marked = (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
    if (target !== document.body) window.walked.set(target, marked);
  });
}"""
"""Notes each place that gets the focus, and whether a reader sees that it has it."""

WALKED = "[...window.walked].map(([place, marked]) => [place.outerHTML.slice(0, 160), marked])"


@pytest.fixture(scope="module")
async def chromium():
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
async def consoles():
    """Addresses of consoles by their gateways, served in this process."""
    async with AsyncExitStack() as stack:
        yield {
            name: str((await stack.enter_async_context(served(pages_over(make())))).base_url)
            for name, make in GATEWAYS.items()
        }


@pytest.fixture(scope="module")
async def window(chromium):
    """One window for the whole walk: it has the requests made and the complaints of the browser."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    await context.close()


@pytest.fixture
async def shown(window, consoles, request):
    """The window with the page of the table in it."""
    window.asked.clear()
    window.complaints.clear()
    page: Shown = request.param
    await window.set_viewport_size({"width": 1280, "height": 900})
    await window.emulate_media(color_scheme="light")
    await window.goto(consoles[page.gateway] + page.path)
    if page.press:
        await window.locator(page.press).first.click()
        await window.wait_for_load_state()
    window.ours = consoles[page.gateway]
    return window


def test_every_route_that_can_be_read_is_in_the_table():
    routes = {
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
    }
    assert routes == {each.route for each in PAGES if each.route} | set(NO_PAGES)


@pytest.mark.parametrize("shown", PAGES, ids=str, indirect=True)
async def test_a_page_is_accessible_fits_and_keeps_its_policy(shown):
    for width, scheme, rules in VIEWS:
        await shown.set_viewport_size({"width": width, "height": 900})
        await shown.emulate_media(color_scheme=scheme)
        assert await findings(shown, rules) == [], (width, scheme)
        assert await shown.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme)
    await _walk_by_keyboard(shown)
    assert [each for each in shown.complaints if "Failed to load resource" not in each] == []
    assert [url for url in shown.asked if not url.startswith(shown.ours)] == []


async def _walk_by_keyboard(page) -> None:
    """Tab reaches all there is to use, visibly, in as many steps as there are places."""
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.evaluate(TO_THE_TOP)
    await page.evaluate(WATCH)
    wanted = await page.evaluate(REACHABLE)
    for _ in range(wanted):
        await page.keyboard.press("Tab")
    reached = await page.evaluate(WALKED)
    assert len(reached) == wanted, reached
    assert [place for place, marked in reached if not marked] == [], "no reader sees where the focus is"
