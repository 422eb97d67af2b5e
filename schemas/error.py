"""Failure report: a structure a machine can act on and a person can read."""

from pydantic import Field

from schemas.message import Part


class ErrorInfo(Part):
    """A failure and its remedy."""

    code: str = Field(description="Code a machine can match, such as `invalid_plan` or `deadline`.")
    message: str = Field(description="Human-readable description.")
    retryable: bool = Field(False, description="True if the same request may succeed later.")
    suggested_action: str | None = Field(None, description="Suggested remedy.")


OUTCOME_UNKNOWN = "outcome_unknown"
"""Code of a ToolError: the call may or may not have taken effect."""

INVALID_ARGUMENTS, TIMEOUT, TOOL_FAILED = "invalid_arguments", "timeout", "tool_failed"
"""Codes of a ToolError: nothing was called; the call timed out; an unexpected exception was raised."""

TOOL_ERROR = "tool_error"
"""Code of a ToolError: the tool reports a failure; it may have taken partial effect."""

REFUSED_BY_PERSON = "refused_by_person"
"""Code of a ToolError: a person decided that the call is not made; the message has their words."""

MAY_HAVE_HAPPENED = frozenset({OUTCOME_UNKNOWN, TIMEOUT, TOOL_FAILED, TOOL_ERROR, "invalid_output", "server_lost"})
"""Codes of errors after which a call may have taken effect, in whole or in part."""
