"""Failure report: a structure a machine can act on and a person can read."""

from pydantic import Field

from schemas.message import Part


class ErrorInfo(Part):
    """A failure and its remedy."""

    code: str = Field(description="Code a machine can match, such as `invalid_plan` or `deadline`.")
    message: str = Field(description="Human-readable description.")
    retryable: bool = Field(False, description="True if the same request may succeed later.")
    suggested_action: str | None = Field(None, description="Suggested remedy.")
