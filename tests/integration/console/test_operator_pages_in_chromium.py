"""The operators' pages in a real Chromium without JavaScript: hostile text, small screens, the keyboard alone."""

import pytest

from tests.integration.console.test_console_in_chromium import (  # noqa: F401 -- fixtures
    WIDTHS,
    _overflow,
    _tab_to,
    browse,
    chromium,
    pytestmark,
)
from tests.support.console import pages_over
from tests.support.console_operations import LETTER, PAGES, Operations
from tests.support.gateway_fixtures import served


@pytest.fixture(scope="module")
async def operations():
    """The address of a console whose gateway answers with hostile text."""
    async with served(pages_over(Operations())) as client:
        yield str(client.base_url)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_hostile_text_loads_nothing_violates_nothing_and_fits(browse, operations, path, width):  # noqa: F811
    seen = await browse(width)
    await seen.page.goto(operations + path)
    assert seen.elsewhere(operations) == []
    assert [each for each in seen.complaints if "Failed to load resource" not in each] == []
    asked = {url.removeprefix(operations).partition("?")[0] for url in seen.requests}
    assert asked <= {path.partition("?")[0], "/static/console.css", "/static/icon.svg"}
    assert await _overflow(seen.page) <= width
    assert await seen.page.locator("h1").count() == 1
    assert await seen.page.locator("script, img, iframe, style, object, embed, main [onfocus]").count() == 0
    assert await seen.page.locator("main input:not([type=hidden]), main select, main textarea").count() == (
        await seen.page.locator("main label").count()
    ), "every field has its label"


async def test_a_letter_is_discarded_by_keyboard_alone(browse, operations):  # noqa: F811
    seen = await browse(320)
    await seen.page.goto(f"{operations}{LETTER}/discard")
    await _tab_to(seen.page, "main textarea")
    await seen.page.keyboard.type("test data")
    await _tab_to(seen.page, 'input[name="by"]')
    await seen.page.keyboard.type("ann")
    await _tab_to(seen.page, "main button.bad")
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url(f"**{LETTER}?notice=discard")


async def test_enter_in_the_form_of_an_edit_publishes_nothing(browse, operations):  # noqa: F811
    seen = await browse()
    await seen.page.goto(f"{operations}{LETTER}/edit")
    await _tab_to(seen.page, 'input[name="by"]')
    await seen.page.keyboard.type("ann")
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_timeout(200)
    assert seen.page.url.endswith("/edit")
    assert await seen.page.locator("main textarea").count() == 2
