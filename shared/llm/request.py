"""One request to one endpoint, without retries, so that callers can account for every request.

The only user of the `openai` client, which is slow to import: import this module when the first request is made.
"""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
import httpx2
import openai

from shared.config import Settings
from shared.llm.bounded import BoundedClient, TooLarge, counting
from shared.llm.endpoints import Endpoint
from shared.llm.failure import CONTEXT, FILTERED, GARBLED, QUOTA, REFUSAL, NotAnswered
from shared.resilience import Outcome
from shared.resilience.retry_after import retry_after
from shared.telemetry.redaction import shown

_PROVIDERS: Mapping[str, str] = {
    "insufficient_quota": QUOTA,
    "billing_hard_limit_reached": QUOTA,
    "insufficient_credits": QUOTA,
    "context_length_exceeded": CONTEXT,
    "string_above_max_length": CONTEXT,
    "exceed_context_size_error": CONTEXT,
}
"""An error's `code` or `type` in a provider's answer → ours."""

_TOO_LONG = re.compile(
    r"(context|token|prompt|input)[^.]{0,80}(exceed|too (long|large|many)|maximum|longer than|greater than|limit)"
    r"|(exceed|too (long|large|many)|maximum)[^.]{0,80}(context|token|prompt|input)",
    re.IGNORECASE,
)
"""Words of the servers that refuse a prompt that is too long under a general code."""

_MAY_BE_LENGTH = {400, 413, 422}
"""Statuses under which they do."""

_ABOUT_REPLY = re.compile(r"max_(completion_|new_)?tokens", re.IGNORECASE)
"""Parameter whose refusal has similar words, and no shorter prompt helps."""

_OUT_OF_CREDIT = 402

LONGEST_WORDS = 500
"""Characters of a provider's message that are kept."""

REFUSED_HERE = {401, 403, 404}
"""Statuses caused by the endpoint's key or models rather than by the request."""

BUSY_HOLD = 1.0
"""Seconds without requests to an endpoint that is rate-limited and sends no Retry-After."""


def client_of(endpoint: Endpoint, settings: Settings) -> openai.AsyncOpenAI:
    """Return a client that follows no redirects, so that the API key never leaves its host."""
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        timeout=settings.model_timeout,
        max_retries=0,
        http_client=BoundedClient(limits=httpx2.Limits(max_connections=settings.max_in_flight), follow_redirects=False),
    )


async def complete(client: openai.AsyncOpenAI, body: dict[str, Any], seconds: float) -> Any:
    """Request a completion. Raises NotAnswered."""
    completion = await _answer(client.chat.completions.create(**body, timeout=seconds), seconds)
    choices = getattr(completion, "choices", None)
    if not (isinstance(choices, list) and choices):
        raise _without_choice(completion)
    if (withheld := _withheld(completion)) is not None:
        raise withheld
    return completion


def _without_choice(completion: Any) -> NotAnswered:
    """Return the failure in a completion without choices: gateways report provider errors with status 200."""
    error = getattr(completion, "error", None)
    if error:
        return NotAnswered(
            _PROVIDERS.get(_kind(error), "provider_error"), Outcome.FAILED, free=True, words=words_of(error)
        )
    text = completion if isinstance(completion, str) else ""
    words, usage = words_of(text) or "the reply has no choices", getattr(completion, "usage", None)
    return NotAnswered(GARBLED, Outcome.FAILED, words=words, reported=usage)


def _withheld(completion: Any) -> NotAnswered | None:
    """Return the failure of a refused or filtered reply, which a retry would not change; None for a usable one."""
    choice = completion.choices[0]
    message = getattr(choice, "message", None)
    if getattr(message, "content", None) or getattr(message, "tool_calls", None):
        return None
    if refusal := getattr(message, "refusal", None):
        words, code = words_of(refusal), REFUSAL
    elif getattr(choice, "finish_reason", None) == FILTERED:
        words, code = "the provider's filter withheld the reply", FILTERED
    else:
        return None
    usage = getattr(completion, "usage", None)
    return NotAnswered(code, Outcome.WORKED, elsewhere=False, words=words, reported=usage)


async def vectorize(client: openai.AsyncOpenAI, body: dict[str, Any], seconds: float) -> Any:
    """Request embeddings, one for each text. Raises NotAnswered."""
    found = await _answer(client.embeddings.create(**body, encoding_format="float", timeout=seconds), seconds)
    if len(getattr(found, "data", None) or []) != len(body["input"]):
        raise NotAnswered(GARBLED, Outcome.FAILED, words="the reply has not one vector for each text")
    return found


async def _answer(asking: Coroutine[Any, Any, Any], seconds: float) -> Any:
    with counting() as received:
        try:
            async with asyncio.timeout(seconds):  # the client's own timeout restarts with every byte
                return await asking
        except (openai.APIError, ValueError, TimeoutError, RecursionError) as failure:  # the last: too deeply nested
            what = not_answered(failure)
            what.received = received.bytes
            raise what from failure


def not_answered(failure: Exception) -> NotAnswered:
    """Classify the client's error."""
    words = words_of(getattr(failure, "body", None))
    known = _known(failure)
    match failure:
        case openai.APIStatusError() if known is not None:
            return NotAnswered(known, Outcome.WORKED, free=True, words=words)
        case openai.RateLimitError():
            hold = retry_after(failure.response.headers) or BUSY_HOLD
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


def words_of(body: Any) -> str:
    """Return a provider's error message, redacted and truncated."""
    message = body.get("message", body.get("error", body)) if isinstance(body, Mapping) else body
    message = message.get("message", message) if isinstance(message, Mapping) else message
    text = " ".join(str(message or "").split())[: 2 * LONGEST_WORDS]
    return shown(text.encode(errors="replace").decode())[:LONGEST_WORDS]


def _known(failure: Exception) -> str | None:
    """Return our code for an error the provider names, which is more specific than the status."""
    status, body = getattr(failure, "status_code", None), getattr(failure, "body", None)
    if status == _OUT_OF_CREDIT:
        return QUOTA
    if (code := _PROVIDERS.get(_kind(body))) is not None:
        return code
    return CONTEXT if status in _MAY_BE_LENGTH and _is_too_long(words_of(body)) else None


def _is_too_long(words: str) -> bool:
    return bool(_TOO_LONG.search(words)) and not (_ABOUT_REPLY.search(words) and "context" not in words.lower())


def _kind(body: Any) -> str:
    if not isinstance(body, Mapping):
        return ""
    names = [str(body.get(name) or "") for name in ("code", "type")]
    return next((name for name in names if name in _PROVIDERS), "")


def _never_sent(failure: Exception) -> bool:
    """Return True if no connection was made. The client's own errors do not distinguish that from a later failure."""
    below = getattr(failure.__cause__, "__cause__", None)
    return isinstance(below, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


async def list_models(client: openai.AsyncOpenAI, seconds: float) -> Any:
    """Request the list of models, which costs nothing, and return the answer as it is. Raises NotAnswered."""
    return await _answer(client.get("/models", cast_to=object, options={"timeout": seconds}), seconds)
