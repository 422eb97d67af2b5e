"""How a failure travels: a structure a machine can act on and a person can read."""

from pydantic import Field

from schemas.message import Part


class ErrorInfo(Part):
    """What went wrong and what would help."""

    code: str = Field(description="One word a machine can match, such as `invalid_plan` or `deadline`.")
    message: str = Field(description="What happened, for a person.")
    retryable: bool = Field(False, description="Whether the same request may succeed later.")
    suggested_action: str | None = Field(None, description="What to do about it.")
