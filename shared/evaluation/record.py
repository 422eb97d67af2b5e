"""Results of a suite: what is written to the results folder, and read by `compare` and `report`."""

from collections.abc import Sequence
from typing import Literal

from pydantic import ConfigDict, Field

from schemas.message import Count, Id, Instant, Part, Seconds, Slug
from shared.evaluation.observed import Call, Observed
from shared.evaluation.statistics import Interval, wilson

LONGEST_ANSWER = 20_000
"""Characters of an answer that are kept."""


class Judged(Part):
    """A judge model's verdict by one rubric."""

    rubric: str
    passes: bool
    reason: str = ""
    model: str = ""
    cost_usd: float = Field(0.0, ge=0)


class Trial(Part):
    """One run of a case, with its outcome."""

    case: Slug
    number: int = Field(ge=1, le=100_000)
    digest: str = Field(description="Of the case: trials of unequal cases are not compared.")
    run_id: Id
    passed: bool
    problems: list[str] = Field(default_factory=list, description="Unmet expectations.")
    status: str
    answer: str = ""
    calls: list[Call] = Field(default_factory=list)
    judged: list[Judged] = Field(default_factory=list)
    cost_usd: float = Field(0.0, ge=0)
    tokens: Count = 0
    seconds: Seconds = 0.0
    models: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        """Case and number, which pair it with a trial of another version."""
        return self.case, self.number


class Calibration(Part):
    """Agreement of the judge model with people's verdicts."""

    agreed: Count
    graded: Count
    least_agreement: float = Field(0.8, ge=0, le=1)
    models: list[str] = Field(default_factory=list)

    @property
    def interval(self) -> Interval:
        """Interval of the agreement."""
        return wilson(self.agreed, self.graded)

    @property
    def trusted(self) -> bool:
        """True if there are verdicts of people, and the judge agrees with enough of them."""
        return self.graded > 0 and self.agreed >= self.least_agreement * self.graded


class SuiteRun(Part):
    """All trials of one run of a suite."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    id: Slug
    suite: Slug
    digest: str = Field(description="Of all its cases.")
    label: str = Field("", max_length=200, description="Version that was tried, in the words of the one who ran it.")
    waggle: str = Field("", description="Version of the command line.")
    started: Instant
    finished: Instant | None = Field(None, description="Null while trials are missing.")
    repeat: int = Field(ge=1, le=100_000)
    trials: list[Trial] = Field(default_factory=list)
    calibration: Calibration | None = Field(None, description="Of the judge model, if the suite uses one.")

    @property
    def models(self) -> list[str]:
        """Models that took part."""
        return sorted({model for trial in self.trials for model in trial.models})

    @property
    def versions(self) -> dict[str, str]:
        """Agent → version of its instructions."""
        return {agent: version for trial in self.trials for agent, version in sorted(trial.versions.items())}


def trial_of(
    case: str, number: int, digest: str, run_id: str, run: Observed, problems: Sequence[str], judged: Sequence[Judged]
) -> Trial:
    """Return a trial as the results keep it."""
    failed = [f"the judge refuses: {each.rubric}: {each.reason}" for each in judged if not each.passes]
    return Trial(
        case=case,
        number=number,
        digest=digest,
        run_id=run_id,
        passed=not problems and not failed,
        problems=[*problems, *failed],
        answer=run.answer[:LONGEST_ANSWER],
        calls=[call.shortened() for call in run.calls],
        judged=list(judged),
        **run.model_dump(include={"status", "cost_usd", "tokens", "seconds", "models", "versions"}),
    )
