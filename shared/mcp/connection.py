"""Connection to one server: reconnects when it is lost, and refreshes its tools when they change."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
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

from schemas.health import LONGEST_FINDING
from shared.mcp import http, process
from shared.mcp.declare import Declared
from shared.mcp.losses import Lost, first_of, in_plain_words
from shared.mcp.streams import Streams
from shared.mcp.text import clean

log = structlog.get_logger()

LOOK_EVERY = 30.0
"""Seconds between requests for the tool list of a silent server, which also check that it is alive."""

ANSWER_WITHIN = 10.0
"""Seconds the server has to answer; otherwise the connection is replaced."""

CLOSE_WITHIN = 10.0
"""Seconds after which closing a connection is interrupted."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LIVED = 60.0
"""Seconds after which a connection counts as successful, which resets the pause before a reconnect."""

LONGEST_WHY = 600
"""Characters of the reason a server is lost."""

MOST_PAGES = 20
MOST_LISTED = 200


class Connection:
    """Connection to a server, maintained while `keep` runs."""

    def __init__(
        self,
        name: str,
        server: Declared,
        changed: Callable[[], None],
        lost: Callable[[], None],
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.listed: list[Listed] = []
        """Its tools as last listed; kept while it is unavailable."""
        self.tried = asyncio.Event()
        """Set once a first connection has succeeded or failed."""
        self.since: datetime | None = None
        """Start of the present state, connected or not; None until a first connection has succeeded or failed."""
        self.error = ""
        self.error_at: datetime | None = None
        """The last loss in words for people, which hold nothing that the server said, and its time."""
        self._server = server
        self._changed = changed
        self._count_loss = lost
        self._turned = turned
        self._client: Client | None = None
        self._again = asyncio.Event()
        self._why: str | None = None
        self._output: deque[str] = deque(maxlen=process.LINES_KEPT)
        """The last output lines of its process that are no messages."""
        self._within = server.connect_timeout
        """Seconds the server currently has to answer."""
        self._calls = 0
        self._up: bool | None = None
        self._status = 0
        """Status of the last message sent to its URL; 0: there was none."""

    @property
    def connected(self) -> bool:
        """True if it can be called now."""
        return self._client is not None

    async def keep(self) -> None:
        """Stay connected until cancelled."""
        pause = SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            failure = await _end_of(self._connect_and_watch())
            self._log_loss(failure, pause)
            self._enter((self._why or in_plain_words(failure, self._within, self._status))[:LONGEST_FINDING])
            self.tried.set()
            pause = SHORTEST_PAUSE if time.monotonic() - began > LIVED else pause
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 -- jitter
            pause = min(2 * pause, LONGEST_PAUSE)

    async def call(
        self, tool: str, arguments: dict[str, Any], meta: Mapping[str, Any], within: float
    ) -> CallToolResult:
        """Call a tool by its name on the server. `within`: seconds.

        Raises Lost if it was not sent; MCPError or other errors of the package if it may have been.
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

    def _enter(self, error: str = "") -> None:
        """Note a connection, or with an error its loss. A further loss for the same reason is no news."""
        turned = self._up is not (not error)
        if not turned and error == self.error:
            return
        now = datetime.now(UTC)
        self._up, self.since = not error, now if turned else self.since
        if error:
            self.error, self.error_at = error, now
        self._turned()

    async def _connect_and_watch(self) -> None:
        """Connect, and return when the connection fails."""
        self._why, self._status = None, 0
        self._output.clear()
        self._again.clear()
        self._within = self._server.connect_timeout
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._server.connect_timeout):
                client = await stack.enter_async_context(self._connecting())
                listed = await _tools_of(client)
            self._client = client
            self._within = ANSWER_WITHIN
            self._take(listed)
            log.info("mcp_server_connected", server=self.name, tools=len(listed), version=client.protocol_version)
            self._enter()
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
            return http.connected(self._server, self._note_status)
        return process.running(self.name, self._server, self._give_up, self._output)

    def _without_secrets(self, result: CallToolResult) -> CallToolResult:
        if not self._server.secrets:
            return result
        return CallToolResult.model_validate_json(self._server.hide(result.model_dump_json(by_alias=True)))

    def _note_status(self, status: int) -> None:
        self._status = status

    def _give_up(self, why: str) -> None:
        self._why = why
        self._again.set()

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._again.set()

    async def _watch(self, client: Client) -> None:
        """Follow changes of the tools. Raises if the server is gone or does not answer."""
        tools = client.server_capabilities.tools
        async with asyncio.TaskGroup() as tasks:
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS and tools is not None and tools.list_changed:
                tasks.create_task(self._listen(client))
            while True:
                await self._refresh_due()
                if self._why is not None:
                    raise Lost(self._why)
                async with asyncio.timeout(ANSWER_WITHIN):
                    self._take(await _tools_of(client))

    async def _refresh_due(self) -> None:
        """Return when a refresh is requested or the interval is over and no call is in progress."""
        while not self._again.is_set():
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._again.wait()
            except TimeoutError:
                if not self._calls:
                    break
        self._again.clear()

    async def _listen(self, client: Client) -> None:
        """Listen for changed tools, as newer protocol versions allow. If it ends, periodic refreshes continue."""
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

    def _log_loss(self, failure: BaseException | None, pause: float) -> None:
        self._count_loss()
        why = self._server.hide("; ".join([self._why or self._reason(failure), *self._output]))
        log.warning(
            "mcp_server_unavailable", server=self.name, reason=clean(why, LONGEST_WHY), retry_in=round(pause, 1)
        )

    def _reason(self, failure: BaseException | None) -> str:
        """Describe a failure for the log; of a group, its first."""
        first = first_of(failure)
        match first:
            case TimeoutError() | MCPError(code=mcp_types.REQUEST_TIMEOUT):
                return f"it did not answer within {self._within:g} s"
            case MCPError():
                return f"it answered with the protocol error {first.error.code}: {first.error.message}"
        return str(first or "") or type(first).__name__


async def _end_of(work: Coroutine[Any, Any, None]) -> BaseException | None:
    """Return the exception that ended the work, run in its own task: a closing connection can lose a cancellation."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_WITHIN)
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def _tools_of(client: Client) -> list[Listed]:
    """Return every tool of the server. Raises Lost for an endless list."""
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
