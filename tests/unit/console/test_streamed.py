"""Answers of the gateway that are passed on: none stays open, also if the browser leaves early."""

import httpx
import pytest

from tests.support.console import RUN, Gateway, pages_over, visiting
from tests.support.run_parts import MARKDOWN

DOWNLOAD = f"/runs/{RUN}/files/{MARKDOWN}/download"
ORDER = "/run-orders/stop"


class Body(httpx.AsyncByteStream):
    """A body that knows if it was closed."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.closed = False

    async def __aiter__(self):
        yield self.content

    async def aclose(self) -> None:
        self.closed = True


class Watched(Gateway):
    """A gateway that keeps the bodies it has sent."""

    def __init__(self) -> None:
        super().__init__("plain")
        self.bodies: list[Body] = []
        self.length = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = super().__call__(request)
        headers = dict(answer.headers)
        if not self.length:
            headers.pop("content-length", None)
        self.bodies.append(Body(answer.content))
        return httpx.Response(answer.status_code, headers=headers, stream=self.bodies[-1])

    @property
    def open(self) -> int:
        """Number of bodies that are not closed."""
        return sum(not each.closed for each in self.bodies)


class Leaving:
    """An application whose browsers leave before they get anything from these paths."""

    def __init__(self, app, *paths: str) -> None:
        self.app = app
        self.paths = paths

    async def __call__(self, scope, receive, send) -> None:
        async def lost(message):
            raise OSError("the browser is gone")

        await self.app(scope, receive, lost if scope["path"] in self.paths else send)


@pytest.fixture
def gateway():
    return Watched()


async def test_a_download_that_never_starts_leaves_nothing_open(gateway):
    async with visiting(Leaving(pages_over(gateway), DOWNLOAD)) as visit:
        with pytest.raises(OSError, match="gone"):
            await visit.open(DOWNLOAD)
    assert len(gateway.bodies) == 2
    assert gateway.open == 0


async def test_an_order_for_many_whose_page_never_starts_leaves_nothing_open(gateway):
    async with visiting(Leaving(pages_over(gateway), ORDER)) as visit:
        form = {"state": "EXECUTING", "expected": "3", "until": "2026-01-01T00:00:00+00:00", "reason": "x", "by": "ann"}
        with pytest.raises(OSError, match="gone"):
            await visit.send(ORDER, **form)
    assert [each.url.path for each in gateway.asked][-1] == "/v1/runs/batch"
    assert gateway.open == 0


async def test_a_download_of_unknown_length_is_passed_on(gateway):
    gateway.length = False
    async with visiting(pages_over(gateway)) as visit:
        answer = await visit.open(DOWNLOAD)
    assert answer.status_code == 200
    assert "content-length" not in answer.headers
    assert answer.content == gateway.bodies[-1].content
    assert gateway.open == 0
