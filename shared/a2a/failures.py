"""Errors of a request to a remote agent, by their consequence for the call."""

from collections.abc import Mapping

import httpx
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from shared.a2a.transport import NOT_SENT, TooLarge
from shared.guardrails import sanitised
from shared.tools import OUTCOME_UNKNOWN, WITHOUT_IT, Effect, ToolError

LONGEST_MESSAGE = 500
"""Characters of an error in the words of the remote agent."""

_REFUSALS: tuple[type[Exception], ...] = (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
"""Errors of the protocol that mean the request had no effect."""

_LATER = frozenset({408, 425, 429, 503})
_REPEATABLE = frozenset({Effect.READ, Effect.IDEMPOTENT})

_ADVICE: Mapping[bool, str] = {True: f"retry later in this step, or {WITHOUT_IT}", False: WITHOUT_IT}


class Unavailable(Exception):
    """The agent's card cannot be had or used, so nothing was sent; the message is ours."""


def failure(name: str, effect: Effect, error: Exception) -> ToolError:
    """Convert the error of a request; `outcome_unknown` if it may have had an effect that must not be repeated."""
    cause = error.__cause__ if isinstance(error.__cause__, httpx.HTTPError) else error
    match cause:
        case Unavailable():
            return _error("unreachable", f"{name} was not asked: {cause}", retryable=True)
        case httpx.HTTPStatusError():
            return _of_status(name, effect, cause.response.status_code)
        case _ if isinstance(cause, NOT_SENT):
            return _error("unreachable", f"{name} cannot be reached: {cause}", retryable=True)
        case _ if isinstance(cause, _REFUSALS):
            return _error("remote_refused", f"{name} refused the request: {_words(cause)}")
    if effect not in _REPEATABLE:
        return _error(OUTCOME_UNKNOWN, f"the request to {name} may have been taken: {_kind(cause)}")
    return _repeatable(name, cause)


def _repeatable(name: str, cause: BaseException) -> ToolError:
    match cause:
        case TooLarge():
            return _error("too_large", f"{name}: {cause}")
        case httpx.HTTPError():
            return _error("server_lost", f"the connection to {name} was lost: {_kind(cause)}", retryable=True)
    return _error("invalid_output", f"{name} answered with something that is no answer of the protocol: {_kind(cause)}")


def _of_status(name: str, effect: Effect, status: int) -> ToolError:
    message = f"{name} answered with status {status}"
    if status in _LATER:
        return _error("http_error", message, retryable=True)
    if status < httpx.codes.INTERNAL_SERVER_ERROR:
        return _error("http_error", message)
    if effect in _REPEATABLE:
        return _error("http_error", message, retryable=True)
    return _error(OUTCOME_UNKNOWN, f"{message}, and may have taken the request")


def _error(code: str, message: str, *, retryable: bool = False) -> ToolError:
    advice = "it may have taken effect: do not repeat it" if code == OUTCOME_UNKNOWN else _ADVICE[retryable]
    return ToolError(code, message, retryable=retryable, suggested_action=advice)


def _kind(cause: BaseException) -> str:
    """Return the kind of an error; its text may hold anything that the remote agent has sent."""
    return type(cause).__name__


def _words(cause: BaseException) -> str:
    return " ".join(sanitised(str(cause)).split())[:LONGEST_MESSAGE]
