"""Sessions: conversations of tasks, their turns, and their end."""

from pydantic import ConfigDict, Field

from schemas.api.commands import CommandRequest
from schemas.conversation import ConversationFact, ConversationTurn, SessionEnd
from schemas.message import Count, Instant, Part, Slug


class SessionSummary(Part):
    """A session in a list."""

    session: str
    turns: Count = Field(description="Number of its turns since its last end.")
    last: ConversationTurn | None = Field(None, description="Its last turn; null if none came after its end.")
    ended: SessionEnd | None = Field(None, description="Its last end.")
    expires: Instant = Field(description="Time at which it is forgotten, unless another task of it comes before.")


class SessionPage(Part):
    """Sessions, the one with the latest turn first."""

    sessions: list[SessionSummary]
    next_offset: int | None = Field(None, description="Offset of the next page; null on the last one.")


class SessionView(SessionSummary):
    """A session with its latest turns."""

    tenant: str
    recent: list[ConversationTurn] = Field(description="Its latest turns, oldest first.")
    facts: list[ConversationFact] = Field(
        default_factory=list,
        description="Facts extracted from its turns, oldest first; a task is given those of older ones.",
    )


class SessionQuery(Part):
    """A page of sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # part of a request

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    limit: int = Field(50, ge=1, le=200, description="Maximum sessions on a page.")
    offset: int = Field(0, ge=0, le=1_000_000, description="Number of sessions to skip.")


class EndSessionRequest(CommandRequest):
    """The end of a conversation."""
