"""Tool calls that change something outside a run, with their outcomes: the record of the run's external effects."""

from typing import Literal

from pydantic import Field

from schemas.message import Amount, Id, Instant, Part, Slug
from schemas.plan import Effect

BY_PERSON = "person"
"""Rule of a call that a person refused."""


class ActingCall(Part):
    """One call of a tool that acts outside its run, with its outcome. `work_id` and `call` identify its place."""

    work_id: Id
    call: str = Field(description="Place of the call in the work, as in its journal.")
    agent: Slug
    tool: str
    source: str | None = Field(None, description="Origin of a tool that is not built into Waggle.")
    effect: Effect
    arguments: str = Field("", description="JSON; long arguments are truncated.")
    digest: str = Field(description="SHA-256 of the tool and its arguments; independent of work and place.")
    targets: list[str] = Field(default_factory=list, description="Tool and destination, one entry per destination.")
    moves: dict[str, Amount] = Field(default_factory=dict, description="Amount of `money`, number of `rows`.")
    outcome: Literal["made", "failed", "refused", "unknown"] = Field(
        description="`unknown`: the call may have been made."
    )
    result: str = Field("", description="JSON that the tool returned; a long result is truncated.")
    reason: str = Field("", description="Reason the call was not made, or its outcome is unknown.")
    rule: str = Field("", description="Rule that refused the call; `person` for a human decision.")
    at: Instant | None = Field(None, description="Time at which the outcome was recorded.")

    @property
    def place(self) -> tuple[str, str]:
        """Work and call; unique per record."""
        return self.work_id, self.call

    @property
    def may_have_happened(self) -> bool:
        """True if the call was made or its outcome is unknown."""
        return self.outcome in ("made", "unknown")


def effect_call(number: int) -> str:
    """Return the place of an approved call among the calls to make, counted from 1."""
    return f"effect/call-{number}"
