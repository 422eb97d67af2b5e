"""What people decide, and what they command."""

from typing import Literal

from pydantic import Field

from schemas.message import Id, Message, Slug, Text


class Command(Message):
    """Something a person or an operator wants of a run."""

    run_id: Id
    tenant: Slug
    by: str = Field(min_length=1, max_length=200, description="Who it was.")


class CancelRun(Command):
    """End the run: no further call is made for it. A call under way is not broken off."""

    reason: Text


class PauseRun(Command):
    """Dispatch nothing more until `ResumeRun`; what is in flight is kept."""

    reason: Text


class ResumeRun(Command):
    """Go on from where `PauseRun` stopped, or take a failed run up again at the step that failed."""


class CarryOut(Command):
    """Make the calls that a dry run has shown, as they are. Obeyed only with a signature: docs/access.md."""

    digest: str = Field(description="`effects_digest` of the dry run's result: what was looked at.")


class HumanDecided(Command):
    """The answer to a `HelpRequested`. Obeyed only with a signature of the person it is by: docs/access.md."""

    request_id: Id
    decision: Literal["approve", "reject"]
    answer: str = Field("", max_length=20_000, description="What the agent shall know; with a rejection: why.")
    digest: str | None = Field(
        None, description="Of the proposal that was looked at; another one is not approved by it."
    )
