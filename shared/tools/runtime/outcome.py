"""What an error says about what the tool stands on."""

from shared.resilience import Outcome
from shared.tools import OUTCOME_UNKNOWN, ToolError
from shared.tools.call import TIMEOUT, TOOL_FAILED

_BROKEN = frozenset({TIMEOUT, TOOL_FAILED, OUTCOME_UNKNOWN})

_NOT_CALLED = frozenset({"server_unavailable"})
"""Codes of what may pass, though nobody was called."""

_ANSWERED = frozenset({"http_error", "tool_error", "refused_by_server", "smtp_refused", "invalid_output"})
"""Codes of refusals by what was called: it is there."""


def outcome_of(error: ToolError) -> Outcome:
    """Failures are timeouts, trouble with the connection, and what broke; arguments that do not fit tell nothing."""
    if error.code in _NOT_CALLED:
        return Outcome.UNKNOWN
    if error.code in _BROKEN or error.retryable:
        return Outcome.FAILED
    return Outcome.WORKED if error.code in _ANSWERED else Outcome.UNKNOWN


def may_pass(error: ToolError) -> bool:
    """Whether an earlier result may stand in: the same call may work another time."""
    return error.retryable or error.code in _BROKEN
