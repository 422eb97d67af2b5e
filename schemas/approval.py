"""Human decisions and operator commands."""

from typing import Literal

from pydantic import Field

from schemas.message import Id, Message, Slug, Text


class Command(Message):
    """A command for a run, from a caller or an operator."""

    run_id: Id
    tenant: Slug
    by: str = Field(min_length=1, max_length=200, description="Author of the command.")


class CancelRun(Command):
    """End the run: no further call is made for it. A call in flight is not interrupted."""

    reason: Text


class PauseRun(Command):
    """Dispatch nothing until `ResumeRun`; work in flight is kept."""

    reason: Text


class ResumeRun(Command):
    """Resume a paused run, or a failed run at the step that failed."""


class CarryOut(Command):
    """Apply a dry run: make exactly the calls it has shown. Requires a signature: docs/access.md."""

    digest: str = Field(description="`effects_digest` of the reviewed dry-run result.")


class HumanDecided(Command):
    """The decision on a `HelpRequested`. Requires the signature of the person named in `by`: docs/access.md."""

    request_id: Id
    decision: Literal["approve", "reject"]
    answer: str = Field("", max_length=20_000, description="Message to the agent; with a rejection, the reason.")
    digest: str | None = Field(None, description="Digest of the reviewed proposal; any other proposal is not approved.")
