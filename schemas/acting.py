"""Tool calls that change something outside a run, each with its outcome: the record of what the run has effected."""

from typing import Literal

from pydantic import Field

from schemas.message import Amount, Id, Instant, Part, Slug
from schemas.plan import Effect


class ActingCall(Part):
    """One call of a tool that acts outside its run, and how it ended. `work_id` and `call` name its place."""

    work_id: Id
    call: str = Field(description="Place of the call in the work, as its journal names it.")
    agent: Slug
    tool: str
    source: str | None = Field(None, description="Where the tool is from, when it is no part of Waggle.")
    effect: Effect
    arguments: str = Field("", description="JSON; of long arguments the beginning.")
    digest: str = Field(description="SHA-256 of the tool and its arguments, the same in every work and at every place.")
    targets: list[str] = Field(default_factory=list, description="Tool and destination, one entry a destination.")
    moves: dict[str, Amount] = Field(default_factory=dict, description="Amount of `money`, number of `rows`.")
    outcome: Literal["made", "failed", "refused", "unknown"] = Field(
        description="`unknown`: the call may have been made."
    )
    result: str = Field("", description="JSON that the tool returned; of a long result the beginning.")
    reason: str = Field("", description="Why the call was not made, or why its outcome is unknown.")
    rule: str = Field("", description="Rule that refused the call; `person` for a person's decision.")
    at: Instant | None = Field(None, description="When its outcome was recorded.")

    @property
    def place(self) -> tuple[str, str]:
        """Work and call: one record for each."""
        return self.work_id, self.call

    @property
    def may_have_happened(self) -> bool:
        """True for calls that were made and for those of unknown outcome."""
        return self.outcome in ("made", "unknown")
