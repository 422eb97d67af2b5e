"""One request to one endpoint: no repeats in here, so that whoever counts requests sees each of them."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
import httpx2
import openai

from schemas.budget import Usage
from shared.config import Settings
from shared.llm.bounded import BoundedClient, TooLarge, counting
from shared.llm.endpoints import Endpoint
from shared.llm.prices import Price
from shared.llm.usage import Amount, usage_of
from shared.net.retry_after import retry_after
from shared.resilience import Outcome
from shared.telemetry.redaction import shown

QUOTA, CONTEXT, FILTERED, REFUSAL, GARBLED = (
    "quota_exhausted",
    "context_length",
    "content_filter",
    "refusal",
    "model_garbled",
)
"""What a provider says in words of its own, or does not say; runs fail with these codes."""

_PROVIDERS: Mapping[str, str] = {
    "insufficient_quota": QUOTA,
    "billing_hard_limit_reached": QUOTA,
    "insufficient_credits": QUOTA,
    "context_length_exceeded": CONTEXT,
    "string_above_max_length": CONTEXT,
}
"""An error's `code` or `type` in a provider's answer → ours."""

_OUT_OF_CREDIT = 402

LONGEST_WORDS = 500
"""Characters of what a provider says that are passed on."""

REFUSED_HERE = {401, 403, 404}
"""Statuses that say more about the endpoint than about the request: its key, its models."""

AGAIN_AFTER = 1.0
"""Seconds that an endpoint is left alone which has too much to do and does not say for how long."""


class NotAnswered(Exception):
    """A request without a usable reply."""

    received = 0
    """Bytes that came all the same."""

    def __init__(
        self,
        code: str,
        outcome: Outcome,
        *,
        hold: float = 0.0,
        elsewhere: bool = True,
        free: bool = False,
        words: str = "",
        told: Any = None,
    ) -> None:
        super().__init__(f"{code}: {words}" if words else code)
        self.words = words
        """The provider's own, without secrets."""
        self.told = told
        """The usage in the provider's answer, as it stands there."""
        self.usage: Usage | None = None
        """What counts, once that is known."""
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
    choices = getattr(completion, "choices", None)
    if not (isinstance(choices, list) and choices):
        raise _without_choice(completion)
    if (withheld := _withheld(completion)) is not None:
        raise withheld
    return completion


def _without_choice(completion: Any) -> NotAnswered:
    """Gateways before several providers say with status 200 what went wrong behind them."""
    error = getattr(completion, "error", None)
    if error:
        return NotAnswered(_PROVIDERS.get(_kind(error), "provider_error"), Outcome.FAILED, free=True, words=said(error))
    text = completion if isinstance(completion, str) else ""
    words, told = said(text) or "the reply has no choices", getattr(completion, "usage", None)
    return NotAnswered(GARBLED, Outcome.FAILED, words=words, told=told)


def _withheld(completion: Any) -> NotAnswered | None:
    """Why the model does not answer what it was asked; asked again it would not either."""
    choice = completion.choices[0]
    message = getattr(choice, "message", None)
    if getattr(message, "content", None) or getattr(message, "tool_calls", None):
        return None
    if refusal := getattr(message, "refusal", None):
        words, code = said(refusal), REFUSAL
    elif getattr(choice, "finish_reason", None) == FILTERED:
        words, code = "the provider's filter withheld the reply", FILTERED
    else:
        return None
    return NotAnswered(code, Outcome.WORKED, elsewhere=False, words=words, told=getattr(completion, "usage", None))


async def vectorize(client: openai.AsyncOpenAI, body: dict[str, Any], seconds: float) -> Any:
    """The provider's embeddings, as many as there are texts. Raises NotAnswered."""
    found = await _answer(client.embeddings.create(**body, encoding_format="float", timeout=seconds), seconds)
    if len(getattr(found, "data", None) or []) != len(body["input"]):
        raise NotAnswered(GARBLED, Outcome.FAILED, words="the reply has not one vector for each text")
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
    words = said(getattr(failure, "body", None))
    known = _known(failure)
    match failure:
        case openai.APIStatusError() if known is not None:
            return NotAnswered(known, Outcome.WORKED, free=True, words=words)
        case openai.RateLimitError():
            hold = retry_after(failure.response.headers) or AGAIN_AFTER
            return NotAnswered("rate_limited", Outcome.WORKED, hold=hold, free=True, words=words)
        case openai.APIStatusError(status_code=status) if status >= 500 or status in {408, 409}:
            hold = retry_after(failure.response.headers)
            return NotAnswered(f"status_{status}", Outcome.FAILED, hold=hold, free=True, words=words)
        case openai.APIStatusError(status_code=status):
            here = status in REFUSED_HERE
            return NotAnswered(f"status_{status}", Outcome.WORKED, elsewhere=here, free=True, words=words)
        case openai.APITimeoutError() | TimeoutError():
            return NotAnswered("timeout", Outcome.FAILED, free=_never_sent(failure))
        case openai.APIConnectionError(__cause__=TooLarge()):
            return NotAnswered("too_large", Outcome.FAILED)
        case openai.APIConnectionError():
            return NotAnswered("connection", Outcome.FAILED, free=_never_sent(failure))
    return NotAnswered(GARBLED, Outcome.FAILED, words="the reply cannot be read as JSON")


def taken(failure: NotAnswered, prompt: Amount, longest: int, price: Price) -> Usage | None:
    """What a reply took that is none, as the provider says; None where it does not: then the most it can be counts."""
    if failure.free or not failure.told:
        return None
    return usage_of(failure.told, prompt, Amount((), failure.received, max(longest, failure.received)), price)


def said(body: Any) -> str:
    """A provider's own words about an error: without secrets, and no more than a few lines."""
    message = body.get("message", body.get("error", body)) if isinstance(body, Mapping) else body
    message = message.get("message", message) if isinstance(message, Mapping) else message
    text = " ".join(str(message or "").split())[: 2 * LONGEST_WORDS]
    return shown(text.encode(errors="replace").decode())[:LONGEST_WORDS]


def _known(failure: Exception) -> str | None:
    """Our code of what the provider's error names, where a status says less."""
    if getattr(failure, "status_code", None) == _OUT_OF_CREDIT:
        return QUOTA
    return _PROVIDERS.get(_kind(getattr(failure, "body", None)))


def _kind(body: Any) -> str:
    if not isinstance(body, Mapping):
        return ""
    names = [str(body.get(name) or "") for name in ("code", "type")]
    return next((name for name in names if name in _PROVIDERS), "")


def _never_sent(failure: Exception) -> bool:
    """What the transport says tells nothing: it calls also a connection that broke after the request a timeout."""
    below = getattr(failure.__cause__, "__cause__", None)
    return isinstance(below, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
