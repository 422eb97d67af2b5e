"""One request to one endpoint: no repeats in here, so that whoever counts requests sees each of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp
import httpx2
import openai

from shared.limits import Outcome
from shared.llm.bounded import BoundedClient, TooLarge, counting
from shared.llm.endpoints import Endpoint
from shared.retry_after import retry_after
from shared.settings import Settings

REFUSED_HERE = {401, 403, 404}
"""Statuses that say more about the endpoint than about the request: its key, its models."""

AGAIN_AFTER = 1.0
"""Seconds that an endpoint is left alone which has too much to do and does not say for how long."""


class NotAnswered(Exception):
    """A request without a usable reply."""

    received = 0
    """Bytes that came all the same."""

    def __init__(
        self, code: str, outcome: Outcome, *, hold: float = 0.0, elsewhere: bool = True, free: bool = False
    ) -> None:
        super().__init__(code)
        self.code = code
        """What happened, in a word for metrics and logs."""
        self.outcome = outcome
        """What it says about the endpoint."""
        self.hold = hold
        """Seconds for which nobody shall ask there again."""
        self.elsewhere = elsewhere
        """Whether another endpoint may do better."""
        self.free = free
        """Whether it has certainly cost nothing."""


def client_of(endpoint: Endpoint, settings: Settings) -> openai.AsyncOpenAI:
    """A client that follows nobody elsewhere: a key goes only to the address it is meant for."""
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        timeout=settings.model_timeout,
        max_retries=0,
        http_client=BoundedClient(limits=httpx2.Limits(max_connections=settings.max_in_flight), follow_redirects=False),
    )


async def complete(client: openai.AsyncOpenAI, body: dict[str, Any], seconds: float) -> Any:
    """The provider's completion. Raises NotAnswered."""
    completion = await _answer(client.chat.completions.create(**body, timeout=seconds), seconds)
    if not getattr(completion, "choices", None):
        raise NotAnswered("no_choice", Outcome.FAILED)
    return completion


async def vectorize(client: openai.AsyncOpenAI, body: dict[str, Any], seconds: float) -> Any:
    """The provider's embeddings, as many as there are texts. Raises NotAnswered."""
    found = await _answer(client.embeddings.create(**body, encoding_format="float", timeout=seconds), seconds)
    if len(getattr(found, "data", None) or []) != len(body["input"]):
        raise NotAnswered("garbled", Outcome.FAILED)
    return found


async def _answer(asking: Coroutine[Any, Any, Any], seconds: float) -> Any:
    with counting() as received:
        try:
            async with asyncio.timeout(seconds):  # the client's own starts anew with every byte
                return await asking
        except (openai.APIError, ValueError, TimeoutError, RecursionError) as failure:  # the last: too deeply nested
            what = not_answered(failure)
            what.received = received.bytes
            raise what from failure


def not_answered(failure: Exception) -> NotAnswered:
    """What follows from the client's error."""
    match failure:
        case openai.RateLimitError():
            hold = retry_after(failure.response.headers) or AGAIN_AFTER
            return NotAnswered("rate_limited", Outcome.WORKED, hold=hold, free=True)
        case openai.APIStatusError(status_code=status) if status >= 500 or status in {408, 409}:
            return NotAnswered(
                f"status_{status}", Outcome.FAILED, hold=retry_after(failure.response.headers), free=True
            )
        case openai.APIStatusError(status_code=status):
            here = status in REFUSED_HERE
            return NotAnswered(f"status_{status}", Outcome.WORKED, elsewhere=here, free=True)
        case openai.APITimeoutError() | TimeoutError():
            return NotAnswered("timeout", Outcome.FAILED, free=_never_sent(failure))
        case openai.APIConnectionError(__cause__=TooLarge()):
            return NotAnswered("too_large", Outcome.FAILED)
        case openai.APIConnectionError():
            return NotAnswered("connection", Outcome.FAILED, free=_never_sent(failure))
    return NotAnswered("garbled", Outcome.FAILED)


def _never_sent(failure: Exception) -> bool:
    """What the transport says tells nothing: it calls also a connection that broke after the request a timeout."""
    below = getattr(failure.__cause__, "__cause__", None)
    return isinstance(below, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
