"""Reasons for the loss of a server, in our words: its own may hold secrets and data, and stay in the agent's log."""

import httpx2
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT

_REFUSED = {401, 403}
_FAILED = 400


class Lost(Exception):
    """The server is gone or violates the protocol. The message is ours."""


def first_of(failure: BaseException | None) -> BaseException | None:
    """Return the first failure of a group, at any depth; any other failure as it is."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def in_plain_words(failure: BaseException | None, within: float, status: int = 0) -> str:
    """Describe a failure; of a group, its first.

    `within`: seconds that the server had to answer. `status`: that of its last answer over HTTP, if there was one.
    """
    first = first_of(failure)
    if status >= _FAILED:
        return f"it refuses our credentials ({status})" if status in _REFUSED else f"it answered with status {status}"
    match first:
        case Lost():
            return str(first)
        case TimeoutError() | httpx2.TimeoutException():
            return f"it did not answer within {within:g} s"
        case MCPError():
            return _of_protocol(first.error.code, within)
        case httpx2.HTTPError():
            return _of_http(first)
        case FileNotFoundError():
            return "its command was not found"
        case PermissionError():
            return "its command may not be executed"
        case OSError():
            return f"it could not be started or reached ({type(first).__name__})"
    return f"the connection failed ({type(first).__name__}); the agent's log has the details"


def _of_protocol(code: int, within: float) -> str:
    if code == REQUEST_TIMEOUT:
        return f"it did not answer within {within:g} s"
    if code == CONNECTION_CLOSED:
        return "it closed the connection"
    return f"it answered with the protocol error {code}; the agent's log has its message"


def _of_http(failure: httpx2.HTTPError) -> str:
    if isinstance(failure, httpx2.ConnectError):
        return "nothing answers at its address"
    return f"the connection broke ({type(failure).__name__})"
