"""Boards and claims in the console, in front of a real gateway, broker and Redis."""

import pytest

from services.console.gateway import Gateway
from services.console.live_pages import _show
from shared.blackboard import BoardStore, ClaimStore
from tests.support.boards import author, ended, keeping_board, post, wanted
from tests.support.console import ELSEWHERE, HOSTILE, Visit, console_for, said
from tests.support.gateway_fixtures import records_of, serving
from tests.support.orchestrating import RUN, task

pytestmark = pytest.mark.broker


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def visit(settings, gateway):
    async with console_for(settings, str(gateway.base_url)) as client:
        yield Visit(client)


@pytest.fixture
async def keep(orchestrator, settings):
    await orchestrator.handle(task())
    return keeping_board(orchestrator.parts.broker, settings)


async def test_a_run_shows_its_board_as_text_and_each_entry_leads_to_its_versions(visit, keep, sentinel):
    assert "have shared nothing" in (await visit.open(f"/runs/{RUN}")).text
    boards = BoardStore(sentinel, 60)
    await boards.post(author(), post(content="an earlier value", taint=["page:https://a.example"]), keep)
    await boards.post(
        author(step="s2"), post(content={"html": HOSTILE.replace("\x00", "")}, reason=HOSTILE[:200]), keep
    )
    page = (await visit.open(f"/runs/{RUN}")).text
    assert f"<script src='https://{ELSEWHERE}" not in page
    assert "&lt;script src" in page
    assert "an earlier value" not in page
    assert f'href="/runs/{RUN}/board?kind=finding&amp;key=rate"' in page
    history = said((await visit.open(f"/runs/{RUN}/board?kind=finding&key=rate")).text)
    for words in ("an earlier value", "After reading: page:https://a.example", "research", "All versions"):
        assert words in history


async def test_an_open_page_of_a_run_gets_a_post_when_it_is_made(gateway, keep, sentinel):
    updates = []
    visitor = Gateway(gateway, None, None)
    await _show(visitor, RUN, updates.append)
    await BoardStore(sentinel, 60).post(author(), post(content="what was found"), keep)
    await _show(visitor, RUN, updates.append)
    assert updates[0].id != updates[1].id
    assert "what was found" not in updates[0].html
    assert "what was found" in updates[1].html


async def test_a_claim_is_released_with_a_reason(visit, keep, sentinel, settings, orchestrator):
    assert "No run holds anything" in (await visit.open("/claims")).text
    claim = await ClaimStore(sentinel).claim(author(), wanted(seconds=600), keep)
    assert "customer 42" in said((await visit.open("/claims")).text)
    page = said((await visit.open(f"/runs/{RUN}")).text)
    assert "Holds customer 42" in page
    order = {"resource": "customer 42", "number": str(claim.number), "by": "ann"}
    refused = await visit.send("/claims/release", **order)
    assert refused.status_code == 422
    assert "customer 42" in said(refused.text), "the page is shown with the reason why not"
    sent = await visit.send("/claims/release", **order, reason="its run is stuck")
    assert sent.status_code == 303
    (record,) = await records_of(settings, "control", 1)
    assert b"its run is stuck" in record.value
    await ended(orchestrator)
    assert "No run holds anything" in (await visit.open("/claims")).text
