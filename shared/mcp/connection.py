"""One server: kept connected, started again when it is lost, asked for its tools again when they change."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import mcp_types
import structlog
from mcp import Client
from mcp.client.session import IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    ToolListChangedNotification,
)
from mcp.types import Tool as Listed
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shared.mcp import http, process
from shared.mcp.declare import Declared
from shared.mcp.streams import Streams
from shared.mcp.text import clean

log = structlog.get_logger()

LOOK_EVERY = 30.0
"""Seconds after which a server that said nothing is asked whether it is there and what tools it has."""

ANSWER_WITHIN = 10.0
"""Seconds it has to say so. One that does not is given up and connected anew."""

CLOSE_WITHIN = 10.0
"""Seconds after which closing a connection is interrupted."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LIVED = 60.0
"""Seconds after which a connection counts as one that worked, so that the next pause is short again."""

LONGEST_WHY = 600
"""Characters of why a server is lost."""

MOST_PAGES = 20
MOST_LISTED = 200


class Lost(Exception):
    """The server is gone or does what cannot go on with."""


class Connection:
    """A server's connection, for as long as `keep` runs."""

    def __init__(self, name: str, server: Declared, changed: Callable[[], None], lost: Callable[[], None]) -> None:
        self.name = name
        self.listed: list[Listed] = []
        """Its tools when it was asked last: kept while it is away."""
        self.tried = asyncio.Event()
        """Set once it is known whether it can be reached."""
        self._server = server
        self._changed = changed
        self._count_loss = lost
        self._client: Client | None = None
        self._again = asyncio.Event()
        self._why: str | None = None
        self._said: deque[str] = deque(maxlen=process.LINES_KEPT)
        """The last lines of its process that are no messages."""
        self._within = server.connect_timeout
        """Seconds it has to answer, at the moment."""
        self._calls = 0

    @property
    def connected(self) -> bool:
        """Whether it can be called right now."""
        return self._client is not None

    async def keep(self) -> None:
        """Stay connected until cancelled."""
        pause = SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            self._lost(await _end_of(self._once()), pause)
            self.tried.set()
            pause = SHORTEST_PAUSE if time.monotonic() - began > LIVED else pause
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - nothing secret hangs on it
            pause = min(2 * pause, LONGEST_PAUSE)

    async def call(
        self, tool: str, arguments: dict[str, Any], meta: Mapping[str, Any], within: float
    ) -> CallToolResult:
        """Call a tool, by the server's name for it. `within`: seconds.

        Raises Lost when it was not sent; MCPError, or whatever the package raises, when it may have been.
        """
        client = self._client
        if client is None:
            raise Lost
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments, _meta=dict(meta)))
        self._calls += 1
        try:
            result = await client.session.send_request(request, CallToolResult, request_read_timeout_seconds=within)
        except MCPError as error:
            self._again.set()
            raise MCPError(error.code, self._server.hide(error.message)) from None
        finally:
            self._calls -= 1
        return self._without_secrets(result)

    async def _once(self) -> None:
        """Connect, and stay so until something is wrong."""
        self._why = None
        self._said.clear()
        self._again.clear()
        self._within = self._server.connect_timeout
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._server.connect_timeout):
                client = await stack.enter_async_context(self._connecting())
                listed = await _tools_of(client)
            self._client = client
            self._within = ANSWER_WITHIN
            self._take(listed)
            log.info("an MCP server is connected", server=self.name, tools=len(listed), version=client.protocol_version)
            self.tried.set()
            try:
                await self._watch(client)
            finally:
                self._client = None

    def _connecting(self) -> Client:
        return Client(
            self._transport(),
            client_info=Implementation(name="waggle", version="0.1.0"),
            message_handler=self._heard,
            read_timeout_seconds=self._server.connect_timeout,
            cache=None,
        )

    def _transport(self) -> AbstractAsyncContextManager[Streams]:
        if self._server.url is not None:
            return http.connected(self._server)
        return process.running(self.name, self._server, self._give_up, self._said)

    def _without_secrets(self, result: CallToolResult) -> CallToolResult:
        if not self._server.secrets:
            return result
        return CallToolResult.model_validate_json(self._server.hide(result.model_dump_json(by_alias=True)))

    def _give_up(self, why: str) -> None:
        self._why = why
        self._again.set()

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._again.set()

    async def _watch(self, client: Client) -> None:
        """Take up changes. Raises when the server is gone or does not answer any more."""
        tools = client.server_capabilities.tools
        async with asyncio.TaskGroup() as tasks:
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS and tools is not None and tools.list_changed:
                tasks.create_task(self._listen(client))
            while True:
                await self._something_to_see()
                if self._why is not None:
                    raise Lost(self._why)
                async with asyncio.timeout(ANSWER_WITHIN):
                    self._take(await _tools_of(client))

    async def _something_to_see(self) -> None:
        """Return when there is a reason to look, or after a while; a server that works on a call is left in peace."""
        while not self._again.is_set():
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._again.wait()
            except TimeoutError:
                if not self._calls:
                    break
        self._again.clear()

    async def _listen(self, client: Client) -> None:
        """The newer protocol's way to hear of changed tools. Where it ends, they are still asked for now and then."""
        try:
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._again.set()
        except (MCPError, SubscriptionLost, TimeoutError):
            self._again.set()

    def _take(self, listed: list[Listed]) -> None:
        if listed != self.listed:
            self.listed = listed
            self._changed()

    def _lost(self, failure: BaseException | None, pause: float) -> None:
        self._count_loss()
        why = self._server.hide("; ".join([self._why or self._reason(failure), *self._said]))
        log.warning(
            "an MCP server is away, its tools are refused",
            server=self.name,
            why=clean(why, LONGEST_WHY),
            again_in=round(pause, 1),
        )

    def _reason(self, failure: BaseException | None) -> str:
        """What is to be said of a failure: of a group of them, its first."""
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        match failure:
            case TimeoutError() | MCPError(code=mcp_types.REQUEST_TIMEOUT):
                return f"it did not answer within {self._within:g} s"
            case MCPError():
                return f"it answered with the protocol error {failure.error.code}: {failure.error.message}"
        return str(failure or "") or type(failure).__name__


async def _end_of(work: Coroutine[Any, Any, None]) -> BaseException | None:
    """What some work ended with. It has a task of its own: while a connection closes, a cancellation can get lost."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_WITHIN)
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def _tools_of(client: Client) -> list[Listed]:
    """Every tool the server has. Raises Lost for a list that does not end."""
    found: list[Listed] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if len(found) > MOST_LISTED:
            break
        if cursor is None:
            return found
    raise Lost(f"it lists more than {MOST_LISTED} tools, or on more than {MOST_PAGES} pages")
