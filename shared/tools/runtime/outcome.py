"""Classification of a tool's errors: what they mean for its dependency."""

from schemas.error import TIMEOUT, TOOL_FAILED
from shared.resilience import Outcome
from shared.tools import OUTCOME_UNKNOWN, ToolError

_BROKEN = frozenset({TIMEOUT, TOOL_FAILED, OUTCOME_UNKNOWN})

_NOT_CALLED = frozenset({"server_unavailable"})
"""Codes of transient errors raised without calling the dependency."""

_ANSWERED = frozenset({"http_error", "tool_error", "refused_by_server", "smtp_refused", "invalid_output"})
"""Codes of rejections by the dependency, which is therefore available."""


def outcome_of(error: ToolError) -> Outcome:
    """Return FAILED for timeouts, connection errors and crashes; UNKNOWN for errors such as invalid arguments."""
    if error.code in _NOT_CALLED:
        return Outcome.UNKNOWN
    if error.code in _BROKEN or error.retryable:
        return Outcome.FAILED
    return Outcome.WORKED if error.code in _ANSWERED else Outcome.UNKNOWN


def may_pass(error: ToolError) -> bool:
    """Return True if a cached result may be used: the same call may succeed later."""
    return error.retryable or error.code in _BROKEN
