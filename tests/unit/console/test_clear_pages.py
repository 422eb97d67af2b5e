"""Words on pages: names as code, advice about pages, figures that add up, and nothing offered that leads nowhere."""

import html
import re

import pytest

from schemas.api.dead_letters import Bytes
from schemas.dead import FieldEdit
from schemas.error import ErrorInfo
from schemas.event import State
from services.console.wording import advice, worded
from tests.support.console import HIDDEN, HOSTILE, RUN, Gateway, Memory, pages_over, said, visiting
from tests.support.console_operations import LETTER, Operations
from tests.support.console_pages import Empty


def test_names_between_backticks_are_code_and_everything_else_is_text():
    assert worded("field `budgt`: <b>") == "field <code>budgt</code>: &lt;b&gt;"
    assert worded("`<b>` `a\nb") == "<code>&lt;b&gt;</code> `a\nb"
    assert worded(None) == ""
    shown = worded(f"`{HOSTILE}` {HOSTILE}")
    assert not HIDDEN.search(shown)
    assert set(re.findall("<[^>]*>", shown)) <= {"<code>", "</code>"}


@pytest.mark.parametrize(
    ("action", "code", "says"),
    [
        ("wait a little", "x", "wait a little"),
        ("GET /v1/runs lists the tenant's runs", "unknown_run", "Choose one in the list of runs"),
        ("correct the request; GET /openapi.json describes each route", "x", "correct the request"),
        ("put large content into files: POST /v1/files", "too_large", "Attach large content"),
        ("GET the run's trace: it lists the handoffs", "unknown_handoff", ""),
        (None, "x", ""),
    ],
)
def test_advice_is_about_pages_and_not_about_requests(action, code, says):
    found = advice(action, code)
    assert found.startswith(says)
    assert bool(found) is bool(says)
    assert not re.search("GET|POST", found)


async def test_a_page_says_what_to_do_in_the_console():
    gateway = Gateway("x")
    action = "GET /v1/runs lists the tenant's runs"
    gateway.refuse = 404, ErrorInfo(code="unknown_run", message="no run `r`", suggested_action=action)
    async with visiting(pages_over(gateway)) as visit:
        page = (await visit.open(f"/runs/{RUN}")).text
    assert "no run <code>r</code>" in page
    assert "Choose one in the list of runs" in page
    assert "/v1/runs" not in page


async def test_the_cards_of_the_overview_add_up_to_all_runs():
    async with visiting(pages_over(Gateway("x"))) as visit:
        page = (await visit.open("/")).text
    cards = re.findall(r'<li class="count count-\w+"><a href="([^"]*)"><span class="value">(\d+)<', page)
    assert sum(int(number) for _, number in cards) == 2 * len(State)
    assert f"{2 * len(State)} runs of tenant" in said(page)
    assert {"/runs?state=REJECTED", "/runs?state=CANCELLED"} <= {target for target, _ in cards}


async def test_an_empty_overview_leads_to_the_form_under_a_heading_of_its_own():
    async with visiting(pages_over(Empty("x"))) as visit:
        page = (await visit.open("/")).text
    person, runs = page.index('<h2 id="person">'), page.index("<h2>Runs</h2>")
    assert person < runs < page.index("There are no runs yet.")
    assert '<a href="/submit">Submit a task</a>' in page[runs:]


@pytest.mark.parametrize("given", ["failed", "Failed", "FAILED"])
async def test_a_state_is_known_in_any_case(given):
    gateway = Gateway("x")
    async with visiting(pages_over(gateway)) as visit:
        page = (await visit.open(f"/runs?state={given}")).text
    assert gateway.asked[-1].url.params["state"] == "FAILED"
    assert '<option value="FAILED" selected>' in page


async def test_a_login_is_offered_only_if_the_gateway_takes_keys():
    async with visiting(pages_over(Gateway("x"))) as visit:
        for path in ("/", "/runs", "/submit", f"/runs/{RUN}"):
            assert "Log in" not in (await visit.open(path)).text
    async with visiting(pages_over(Gateway("x", keys=("wgl_known",)), Memory())) as visit:
        assert (await visit.open("/")).headers["location"].startswith("/login")
        assert 'href="/login"' in (await visit.open("/no-such-page")).text
        await visit.log_in("wgl_known")
        assert "Log out" in (await visit.open("/")).text


def letter(gateway, **changes):
    """Lets the gateway hold its letter with changes."""
    found = gateway._letter().model_copy(update=changes)
    gateway._letter = lambda: found
    return found


async def test_a_letter_that_is_handled_is_no_alarm_and_offers_no_second_redrive_first():
    gateway = Operations("plain")
    async with visiting(pages_over(gateway)) as visit:
        handled = (await visit.open(LETTER)).text
        letter(gateway, handled=None, state="open")
        still_open = (await visit.open(LETTER)).text
    assert 'class="notice bad"' not in handled
    assert "button good" not in handled
    assert 'class="notice past"' in handled
    assert "once more" in handled
    assert 'class="notice bad"' in still_open
    assert re.search(r'class="button good"[^>]*>Redrive…', still_open)


async def test_the_values_of_an_edit_are_shown_or_said_to_be_hidden():
    gateway = Operations("plain")
    async with visiting(pages_over(gateway)) as visit:
        edits = [FieldEdit(path="budgt", before="5"), FieldEdit(path="budget", after="6")]
        known = letter(gateway)
        letter(gateway, handled=known.handled.model_copy(update={"edits": edits}))
        shown = said((await visit.open(f"{LETTER}?notice=edit")).text)
        assert gateway.asked[-1].url.params["contents"] == "true"
        hidden = [FieldEdit(path="budgt")]
        letter(gateway, payload=Bytes(), handled=known.handled.model_copy(update={"edits": hidden}))
        refused = said((await visit.open(f"{LETTER}?notice=edit")).text)
        unasked = html.unescape((await visit.open(LETTER)).text)
        assert gateway.asked[-1].url.params["contents"] == "false"
    assert "budgt 5 removed budget not there 6" in shown
    assert "budgt not shown to this key not shown to this key" in refused
    assert "shown with the payload" in unasked
    assert f'<a href="{LETTER}?show=text">Show the values</a>' in unasked
