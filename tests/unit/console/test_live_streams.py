"""Streams of pages for which no reader is opened: the page says that it does not update itself, and stays closed."""

import pytest

from schemas.error import ErrorInfo
from services.console import live
from tests.support.console import RUN, Gateway, pages_over, visiting

STREAMS = [f"/runs/{RUN}/live", "/overview/live", "/inbox/live"]
OVER = "event: over\ndata: over\n\n"


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr(live, "FEEDS_OF_ONE", 0)
    monkeypatch.setattr(live, "POLLS_OF_ONE", 0)


@pytest.mark.parametrize("path", STREAMS)
async def test_a_page_beyond_the_bounds_says_so_and_does_not_reconnect(no_room, path):
    async with visiting(pages_over(Gateway("plain"))) as visit:
        answer = await visit.open(path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "this one does not update itself" in answer.text
    assert 'hx-target="#freshness"' in answer.text
    assert answer.text.endswith(OVER)


@pytest.mark.parametrize("path", STREAMS)
async def test_nothing_is_opened_without_a_key_that_the_gateway_needs(path):
    gateway = Gateway("plain", keys=("a key",))
    async with visiting(pages_over(gateway)) as visit:
        answer = await visit.open(path)
    assert answer.text.endswith(OVER)
    assert "no longer updates itself" in answer.text
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("path", STREAMS)
async def test_nothing_is_opened_without_a_key_while_the_gateway_is_unavailable(path):
    gateway = Gateway("plain")
    gateway.refuse = 503, ErrorInfo(code="redis_unavailable", message="Redis is unavailable")
    async with visiting(pages_over(gateway)) as visit:
        assert (await visit.open(path)).status_code == 503
    assert len(gateway.asked) == 1


async def test_every_page_has_the_place_where_a_stream_says_that_it_has_ended():
    async with visiting(pages_over(Gateway("plain"))) as visit:
        for path in ("/", "/inbox", f"/runs/{RUN}"):
            page = (await visit.open(path)).text
            assert page.count('id="freshness"') == 1, path
