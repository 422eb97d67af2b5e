"""What people did with dead letters."""

from typing import Literal

from pydantic import Field

from schemas.message import Instant, Message


class DeadLetterHandled(Message):
    """Somebody put a dead letter back where it came from, or threw it away."""

    name: str = Field(description="`<dead-letter topic>/<partition>/<offset>`, the topic without the prefix.")
    action: Literal["redriven", "discarded"]
    by: str = Field(min_length=1, max_length=200)
    at: Instant
    reason: str = Field("", max_length=20_000)
