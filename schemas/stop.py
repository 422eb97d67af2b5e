"""Kill switch records."""

from pydantic import Field

from schemas.message import Instant, Message, Text

SCOPE = r"^(all|(tenant|agent|run):[A-Za-z0-9][A-Za-z0-9._-]*)$"


class WorkStopped(Message):
    """Agents make no model or tool calls within this scope until a record without a value clears it."""

    scope: str = Field(pattern=SCOPE, max_length=200, description="`all`, `tenant:NAME`, `agent:NAME` or `run:ID`.")
    by: str = Field(min_length=1, max_length=200, description="Operator who stopped it.")
    reason: Text
    at: Instant
