"""Streams of fragments for pages that are open: a run, the inbox, and the overview."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, TypeAlias

import structlog
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.console.gateway import GatewayFailure, KeyRefused
from services.console.live import Feeds, Full, Reader, Subject, Update
from services.console.live_inbox import BrowserCards, follow_inbox
from services.console.live_pages import follow_overview, follow_run
from services.console.routes.run import RunId
from services.console.visitor import Visitor, VisitorDep

log = structlog.get_logger()
router = APIRouter()

CHECK = 2.0
"""Seconds between two looks at the session: a stream ends that much after the log-out, at most."""

ALIVE = 10.0
"""Seconds without an update after which a comment is sent, so that a browser that is gone is noticed."""

SEND_WITHIN = 10.0
"""Seconds within which a browser must take what is sent; a slower one is dropped and may reconnect."""

_FULL = "Too many pages are open at once, so that this one does not update itself: close some, and"
_ENDED = "This page no longer updates itself:"
"""Words before `reload it` at the foot of a page that does not reconnect."""

Keys: TypeAlias = Annotated[str, Query(max_length=2_000, pattern=r"^([0-9a-f]{16}(\.[0-9a-f]{16})*)?$")]
Offset: TypeAlias = Annotated[int, Query(ge=0, le=1_000_000)]
LastId: TypeAlias = Annotated[str, Header(alias="Last-Event-ID")]


@router.get("/runs/{run_id}/live")
async def stream_run(request: Request, visitor: VisitorDep, run_id: RunId, last_event_id: LastId = "") -> Response:
    """The parts of a run's page that change, whenever they do."""
    if closed := await closed_stream(visitor, visitor.gateway.run(run_id)):
        return closed
    read = partial(follow_run, visitor.gateway, run_id)
    subject = Subject(visitor.key, (visitor.tenant, "run", run_id))
    return stream(request, visitor, subject, read, last_event_id)


@router.get("/overview/live")
async def stream_overview(request: Request, visitor: VisitorDep, last_event_id: LastId = "") -> Response:
    """The parts of the overview that change."""
    if closed := await closed_stream(visitor, visitor.gateway.know_me()):
        return closed
    subject = Subject(visitor.key, (visitor.tenant, "overview"), polls=True)
    return stream(request, visitor, subject, partial(follow_overview, visitor.gateway), last_event_id)


@router.get("/inbox/live")
async def stream_inbox(
    request: Request, visitor: VisitorDep, shown: Keys = "", offset: Offset = 0, last_event_id: LastId = ""
) -> Response:
    """A page of the inbox whenever it changes. `shown`: keys of the questions that the browser has."""
    if closed := await closed_stream(visitor, visitor.gateway.approvals(1)):
        return closed
    own = BrowserCards(visitor.gateway, shown.split(".") if shown else (), visitor.form_token)
    read = partial(follow_inbox, visitor.gateway, offset)
    subject = Subject(visitor.key, (visitor.tenant, "inbox", offset), polls=True)
    return stream(request, visitor, subject, read, last_event_id, own.fitted)


async def closed_stream(visitor: Visitor, question: Awaitable[object]) -> Response | None:
    """Return the answer to a visitor for whom no reader is opened; None if the gateway permits it.

    While the gateway is unavailable, the readers of those with a key retry; without one the browser does.
    """
    try:
        await question
    except KeyRefused:
        return Stream(_only(_over(_ENDED)))
    except GatewayFailure as failure:
        if failure.status < 500:
            return Stream(_only(_over(_ENDED)))
        if visitor.key is None:
            return Response(status_code=503)
    return None


async def _only(message: bytes) -> AsyncGenerator[bytes]:
    yield message


def _same(update: Update) -> str:
    return update.html


def stream(
    request: Request,
    visitor: Visitor,
    subject: Subject,
    read: Reader,
    last: str,
    fitted: Callable[[Update], str] = _same,
) -> Response:
    """Return the stream of a subject. `fitted` makes of an update what this browser gets."""
    feeds: Feeds = request.app.state.feeds
    return Stream(_messages(feeds, subject, read, visitor, last, fitted))


async def _messages(
    feeds: Feeds, subject: Subject, read: Reader, visitor: Visitor, last: str, fitted: Callable[[Update], str]
) -> AsyncGenerator[bytes]:
    """Yield updates until there is nothing more to come, or the visitor has logged out."""
    try:
        async with feeds.joined(subject, read) as listener:
            checked = spoke = time.monotonic()
            while True:
                update = await listener.next(CHECK)
                now = time.monotonic()
                if now - checked >= CHECK:
                    checked = now
                    if await visitor.sessions.key_of(visitor.secret) != visitor.key:
                        yield _over(_ENDED)
                        return
                if update is not None and update.id != last:
                    last, spoke = update.id, now
                    yield _encoded(update.id, fitted(update))
                elif now - spoke >= ALIVE:
                    spoke = now
                    yield b": nothing new\n\n"
                if listener.over and update is None:
                    if not listener.failed:
                        yield _over(_ENDED)
                    return
    except Full:
        yield _over(_FULL)


def _over(words: str) -> bytes:
    """Return the words for the foot of the page, and the event after which it does not reconnect."""
    parts = ("freshness", words), ("said", f"{words} reload it.")
    shown = "".join(f'<hx-partial hx-target="#{id}" hx-swap="innerMorph">{text}</hx-partial>' for id, text in parts)
    return f"data: {shown}\n\nevent: over\ndata: over\n\n".encode()


def _encoded(id: str, html: str) -> bytes:
    """Return an update as a server-sent event."""
    lines = html.replace("\r", " ").split("\n")
    data = "".join(f"data: {line}\n" for line in lines)
    return f"id: {id}\n{data}\n".encode(errors="replace")


class Stream(Response):
    """Server-sent events. A browser that does not take them in time is dropped."""

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncGenerator[bytes]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end of the messages, or until the browser is gone."""
        assert scope["type"] == "http", "a response to one"
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the process stops: the browser reconnects to another one
            log.info("live_stream_ended_by_stop")
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
        with suppress(TimeoutError, OSError):
            await _within(send, {"type": "http.response.body", "body": b""})

    async def _send(self, send: Send) -> None:
        try:
            async for message in self._messages:
                await _within(send, {"type": "http.response.body", "body": message, "more_body": True})
        finally:
            await self._messages.aclose()


async def _within(send: Send, message: Message) -> None:
    async with asyncio.timeout(SEND_WITHIN):
        await send(message)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
