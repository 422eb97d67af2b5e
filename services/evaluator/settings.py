"""Settings of the evaluator: which runs it samples, and the bounds of its checks."""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field

from schemas.event import State
from schemas.message import Slug
from shared.config import ServiceSettings, Strict, read_toml
from shared.config.files import parsed, validated
from shared.runs import Run

VARIABLE = "WAGGLE_EVALUATION"

Share = Annotated[float, Field(ge=0, le=1)]


class EvaluatorSettings(ServiceSettings):
    """Settings of the evaluator."""

    evaluation: Path | None = Field(
        None, description="TOML file with the sampled runs and the bounds of the checks: docs/evaluate-production.md."
    )


class Sample(Strict):
    """A rule that samples ended runs. An empty condition fits every run."""

    name: Slug
    tenants: list[Slug] = Field(default_factory=list)
    types: list[Slug] = Field(default_factory=list)
    agents: list[Slug] = Field(default_factory=list)
    states: list[State] = Field(default_factory=list)
    min_cost_usd: float = Field(0.0, ge=0, allow_inf_nan=False)
    rate: Share

    def fits(self, run: Run) -> bool:
        """Return True if the run meets every condition."""
        agents = {record.step.agent for record in run.steps.values()}
        return (
            (not self.tenants or run.tenant in self.tenants)
            and (not self.types or run.task.type in self.types)
            and (not self.agents or not agents.isdisjoint(self.agents))
            and (not self.states or run.state in self.states)
            and run.usage.cost_usd >= self.min_cost_usd
        )


class Bounds(Strict):
    """Bounds of the checks."""

    repeats: int = Field(3, ge=1, le=1_000, description="Equal calls of a step that only read.")
    failed_calls: Share = Field(0.5, description="Share of the calls that may fail.")
    numbers: Share = Field(0.2, description="Share of the answer's numbers that may come from nowhere.")
    budget: Share = Field(0.9, description="Share of a limit of the budget that may be used.")


class Evaluating(Strict):
    """The whole configuration."""

    sample: list[Sample] = Field(min_length=1, max_length=100)
    checks: Bounds = Bounds()

    @property
    def version(self) -> str:
        """Digest of the bounds, by which results under different bounds are told apart."""
        return hashlib.sha256(self.checks.model_dump_json().encode()).hexdigest()[:12]

    def sampled(self, run: Run) -> Sample | None:
        """Return the rule that samples this end of the run; None if it is left out."""
        rule = next((each for each in self.sample if each.fits(run)), None)
        return rule if rule is not None and _place(run) < rule.rate else None


def read_evaluating(path: Path | None) -> Evaluating:
    """Return the configuration of a file, or the shipped one. Raises Misconfigured."""
    if path is not None:
        return read_toml(path, Evaluating, VARIABLE)
    text = files("services.evaluator").joinpath("evaluation.toml").read_text()
    return validated(Evaluating, parsed(text, VARIABLE), VARIABLE)


def _place(run: Run) -> float:
    """Return a number from 0 up to 1 that depends on the run's id and the number of its end alone."""
    digest = hashlib.sha256(f"{run.tenant}/{run.id}/{run.resumes}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
