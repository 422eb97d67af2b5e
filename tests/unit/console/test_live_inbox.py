"""Cards of the inbox that one browser gets: in order, with its own token, those that have left in their place."""

import httpx
import pytest

from services.console import live_inbox
from services.console.gateway import Gateway
from services.console.live_inbox import BrowserCards, merged
from services.console.questions import read_inbox
from services.console.sessions import form_token
from tests.support import console
from tests.support.console import HOSTILE, pages_over, visiting

MARKS = [f"{n:016x}" for n in range(6)]
A, B, C, D, E, F = MARKS


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ([], [A, B], [A, B]),
        ([A, B, C], [A, B, C], [A, B, C]),
        ([A, B, C], [A, C], [A, B, C]),
        ([A, B, C], [], [A, B, C]),
        ([A, B], [C, A], [C, A, B]),
        ([A, B, C], [C, D], [A, B, C, D]),
        ([A, B, C, D], [E, D, B], [A, E, D, B, C]),
    ],
)
def test_keys_that_are_gone_stay_after_those_that_they_came_after(before, now, found):
    assert merged(before, now) == found


@pytest.fixture
def gateway():
    return console.Gateway()


async def update_of(gateway, offset=0):
    """An update as the reader of the inbox publishes it."""
    client = httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(gateway))
    visitor = Gateway(client, "key", None)
    return live_inbox._update(visitor, await read_inbox(visitor, offset=offset), offset), visitor


async def test_two_browsers_get_the_same_cards_each_with_the_token_of_its_own_forms(gateway):
    update, visitor = await update_of(gateway)
    one, two = (BrowserCards(visitor, [], form_token(secret)).fitted(update) for secret in ("one", "two"))
    assert one != two
    assert one.replace(form_token("one"), form_token("two")) == two
    assert one.count(form_token("one")) == one.count('name="form_token"') == 7, "six cards and the form for several"
    assert live_inbox._TOKEN not in one + two


async def test_a_card_that_has_left_is_sent_without_contents_until_too_many_have(gateway, monkeypatch):
    monkeypatch.setattr(live_inbox, "MOST_GONE", 2)
    update, visitor = await update_of(gateway)
    cards = BrowserCards(visitor, [A, B], "token")
    html = cards.fitted(update)
    for key in (A, B):
        assert f'<li id="q-{key}" class="card question gone">' in html
    gateway.text = "other questions"
    other, _ = await update_of(gateway)
    assert cards.fitted(other).count("question gone") == 2, "the first to leave are forgotten"


async def test_hostile_text_in_a_live_card_closes_no_element_and_names_no_target(gateway):
    gateway.text = "<hx-partial hx-target='body'>taken</hx-partial>" + HOSTILE
    update, visitor = await update_of(gateway)
    html = BrowserCards(visitor, [], "token").fitted(update)
    assert html.count("<hx-partial ") == html.count("</hx-partial>") == 5
    assert "<script" not in html
    assert html.count("<li id=") == 6


async def test_a_stream_for_keys_of_another_form_is_refused(gateway):
    async with visiting(pages_over(gateway)) as visit:
        for shown in ("x", f"{A}.", f"{A},{B}", "<li>"):
            assert (await visit.http.get("/inbox/live", params={"shown": shown})).status_code == 422
