"""Commands to all runs that match a filter: the request, its preview, and one line of outcome for each run."""

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from schemas.api.commands import CommandRequest
from schemas.api.runs import RunFilter, RunSummary
from schemas.error import ErrorInfo
from schemas.message import Part

RunAction: TypeAlias = Literal["pause", "resume", "cancel", "stop"]

MOST_RUNS = 10_000
"""Runs that one request acts on."""

SHOWN_FIRST = 20
"""Runs that a preview shows."""

TYPED_ABOVE = 50
"""Number of runs above which a person types the number to confirm it."""


class RunBatchRequest(CommandRequest):
    """A command to all runs that match and can take it. Preview it with `dry_run` first."""

    action: RunAction
    filter: RunFilter = Field(description="At least one condition.")
    reason: str = Field("", max_length=20_000, description="Reason; required, except to resume.")
    expected: int | None = Field(
        None, ge=0, le=MOST_RUNS, description="Number that the preview has shown. Required, unless this is a `dry_run`."
    )
    rate: float = Field(50.0, ge=0.1, le=1_000, description="Maximum runs per second.")
    dry_run: bool = Field(default=False, description="Only count the runs, and show the first of them.")

    @model_validator(mode="after")
    def _deliberate(self) -> Self:
        if self.filter.empty:
            raise ValueError("`filter` is empty: name at least one condition, such as a state")
        if not self.dry_run and self.expected is None:
            raise ValueError("`expected` is missing: give the number of runs that a `dry_run` has shown")
        if not self.dry_run and self.action != "resume" and not self.reason.strip():
            raise ValueError(f"`reason` is missing: it is recorded with each {self.action}")
        return self


class RunBatchSelection(Part):
    """First line of the answer: the runs that are acted on, the oldest first."""

    action: RunAction
    of: int = Field(description="Number of runs that match and can take the command.")
    complete: bool = Field(description="True if these are all; if not, repeat the request afterwards.")
    first: list[RunSummary] = Field(description="The first of them: at most 20.")


class RunBatchProgress(Part):
    """Outcome of one run."""

    n: int
    of: int
    run_id: str
    outcome: Literal["accepted", "skipped", "failed"] = Field(
        description="`accepted`: the command is sent; `skipped`: the run has changed and does not take it any more."
    )
    error: ErrorInfo | None = None
