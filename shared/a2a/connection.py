"""Connection to one remote agent: its card, kept up to date, and the requests of the protocol."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress

import httpx
import structlog
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
)
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError

from shared.a2a.card import BINDINGS, CardRefused, fetch_card
from shared.a2a.declare import Remote
from shared.a2a.failures import Unavailable
from shared.a2a.outcome import STOPPED, words_of
from shared.a2a.transport import client_of
from shared.errors import Unwanted
from shared.guardrails import named, sanitised
from shared.telemetry.redaction import HIDDEN

FIRST_LOOK, LONGEST_LOOK = 0.5, 5.0
"""Seconds between two looks at a task that works."""

RETRY_CARD = 15.0
"""Seconds until the card is fetched again after a failure."""

CANCEL_WITHIN = 5.0
"""Seconds that the cancellation of a task may take."""

MOST_PAGES = 3
"""Pages of a hundred tasks that are searched for a message."""

log = structlog.get_logger()

Report = Callable[[str], Awaitable[None]]
Wanted = Callable[[], Awaitable[bool]]


class Connection:
    """One remote agent. `keep` keeps its card up to date; requests fetch it if there is none."""

    def __init__(self, name: str, remote: Remote, headers: Mapping[str, str]) -> None:
        self.name = name
        self.remote = remote
        self._http = client_of(remote, headers)
        self._secrets = [each.removeprefix("Bearer ") for each in headers.values()]
        self._card: AgentCard | None = None
        self._fetching = asyncio.Lock()
        self._reason = ""

    @property
    def origin(self) -> str:
        """Origin of what the agent writes."""
        return named("agent", f"{self.remote.host}/{self.name}")

    async def keep(self) -> None:
        """Refresh the card until cancelled. A card that can no longer be used leaves the last good one in use."""
        try:
            while True:
                well = await self._refresh()
                await asyncio.sleep((self.remote.refresh if well else RETRY_CARD) * random.uniform(0.9, 1.1))  # noqa: S311
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def hide(self, text: str) -> str:
        """Return a text of the agent without our credential, which it knows."""
        for each in self._secrets:
            text = text.replace(each, HIDDEN)
        return text

    async def send(self, message: Message) -> Task | Message:
        """Send a message and return the task it begins or continues, or a direct answer.

        Raises Unavailable, and errors of the protocol's library.
        """
        configuration = SendMessageConfiguration(return_immediately=True)
        request = SendMessageRequest(message=message, configuration=configuration, tenant=self.remote.tenant)
        async with aclosing(_generator((await self._client()).send_message(request))) as answers:
            async for answer in answers:
                return answer.task if answer.HasField("task") else answer.message
        raise ValueError("it sent no answer")

    async def task(self, task_id: str) -> Task:
        """Return a task. Raises as `send`."""
        return await (await self._client()).get_task(GetTaskRequest(id=task_id, tenant=self.remote.tenant))

    async def stopped(self, task_id: str, report: Report, wanted: Wanted) -> Task:
        """Return the task once it has ended or asks something. Raises as `send`, and Unwanted."""
        said, pause = "", FIRST_LOOK
        async with self._listening(task_id, report) as news:
            while (task := await self.task(task_id)).status.state not in STOPPED:
                news.clear()
                if (words := words_of(task.status.message)) != said:
                    said = words
                    await self._report(words, report)
                if not await wanted():
                    raise Unwanted("the run does not await this handoff")
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):  # `wait_for` loses a cancellation that comes with the event
                        await news.wait()
                pause = min(1.5 * pause, LONGEST_LOOK)
        return task

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task; return False if it may still be at work. A failure is logged."""
        try:
            async with asyncio.timeout(CANCEL_WITHIN):
                await (await self._client()).cancel_task(CancelTaskRequest(id=task_id, tenant=self.remote.tenant))
        except (TaskNotCancelableError, TaskNotFoundError):
            return True
        except Exception as failed:  # noqa: BLE001 -- the work ends in any case
            log.warning("remote_not_cancelled", agent=self.name, error=type(failed).__name__)
            return False
        log.info("remote_cancelled", agent=self.name)
        return True

    async def find(self, message_id: str) -> Task | None:
        """Return the task that a message began, if the agent lists it; None if it does not, or cannot list."""
        request = ListTasksRequest(page_size=100, history_length=100, tenant=self.remote.tenant)
        try:
            client = await self._client()
            for _ in range(MOST_PAGES):
                page = await client.list_tasks(request)
                for task in page.tasks:
                    if any(each.message_id == message_id for each in task.history):
                        return task
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
        except Exception as failed:  # noqa: BLE001 -- whether it was sent is then unknown, as before
            log.warning("remote_not_searched", agent=self.name, error=type(failed).__name__)
        return None

    @asynccontextmanager
    async def _listening(self, task_id: str, report: Report) -> AsyncIterator[asyncio.Event]:
        """Follow the task's stream, if the agent has streams; the event is set with each update."""
        news = asyncio.Event()
        listening = asyncio.create_task(self._listen(task_id, report, news))
        try:
            yield news
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self, task_id: str, report: Report, news: asyncio.Event) -> None:
        """Report updates until the stream ends. A broken stream ends it, too: the task is looked at all the same."""
        request = SubscribeToTaskRequest(id=task_id, tenant=self.remote.tenant)
        with suppress(Exception):
            client = await self._client(streaming=True)
            if self._card is None or not self._card.capabilities.streaming:
                return
            async with aclosing(_generator(client.subscribe(request))) as updates:
                async for each in updates:
                    await self._report(words_of(each.status_update.status.message), report)
                    news.set()
        news.set()

    async def _report(self, words: str, report: Report) -> None:
        if words:
            await report(f"{self.name}: {self.hide(sanitised(words))}"[:200])

    async def _client(self, *, streaming: bool = False) -> Client:
        """Return a client for the card's endpoints. Raises Unavailable."""
        async with self._fetching:
            if self._card is None and not await self._refresh():
                raise Unavailable(self._reason)
        assert self._card is not None, "a refresh that succeeds sets it"
        config = ClientConfig(
            streaming=streaming,
            polling=not streaming,
            httpx_client=self._http,
            supported_protocol_bindings=list(BINDINGS),
        )
        return ClientFactory(config).create(self._card)

    async def _refresh(self) -> bool:
        """Fetch the card; return False, with the reason logged, if that fails."""
        try:
            async with asyncio.timeout(self.remote.request_timeout):
                card = await fetch_card(self._http, self.remote)
        except (CardRefused, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as failed:
            self._reason = str(failed) if isinstance(failed, CardRefused) else _in_words(failed)
            log.warning("remote_card_refused", agent=self.name, reason=self._reason, kept=self._card is not None)
            return False
        if card != self._card:
            log.info("remote_card_read", agent=self.name, endpoints=[each.url for each in card.supported_interfaces])
        self._card = card
        return True


def _generator(answers: AsyncIterator[StreamResponse]) -> AsyncGenerator[StreamResponse, None]:
    """Return the answers as the generator that they are: closing it closes the connection."""
    assert isinstance(answers, AsyncGenerator), "the library's client yields them"
    return answers


def _in_words(failed: Exception) -> str:
    """Describe a failed connection in our words."""
    if isinstance(failed, httpx.ConnectError):
        return f"its host cannot be reached ({failed})"[:300]
    if isinstance(failed, TimeoutError | httpx.TimeoutException):
        return "its host did not answer in time"
    return f"the connection to its host failed ({type(failed).__name__})"
