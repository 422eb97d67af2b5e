"""Events of steps: sent to an agent, done, handed over, failed or reopened."""

from pydantic import Field

from schemas.brief import Brief
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import RunEvent
from schemas.message import Count, Seconds, Slug
from schemas.plan import PlannedStep
from schemas.question import Background, Kind
from schemas.step import Output
from schemas.verdict import PlannedEffect, Proposal
from schemas.versions import Versions


class StepDispatched(RunEvent):
    """A step was sent to its agent."""

    step_id: str
    agent: str
    objective: str
    handoff_id: str
    attempt: Count
    versions: Versions | None = Field(None, description="Versions of the agent, as it announced them.")


class StepDone(RunEvent):
    """A step has its output."""

    step_id: str
    output: Output
    seconds: Seconds
    usage: Usage
    versions: Versions | None = Field(None, description="Versions of the agent that did it.")


class StepHandedOff(RunEvent):
    """An agent handed its work over: its step is done, with the brief as output, and the next one is added."""

    step_id: str
    to: Slug
    brief: Brief
    brief_digest: str = Field(max_length=64)
    tainted: bool = Field(False, description="True if the author of the brief had read untrusted content.")
    added: Count = Field(0, description="Facts, sources, files and effects that no earlier brief of the run had.")
    effects: list[PlannedEffect] = Field(default_factory=list, description="Of a dry run: the calls it did not make.")
    caveats: list[str] = Field(default_factory=list)
    next: PlannedStep | None = Field(None, description="The added step; null: the handoff was refused.")
    must_answer: str = Field(
        "", max_length=1_000, description="Reason why the next agent must answer; empty: it need not."
    )
    error: ErrorInfo | None = Field(None, description="Reason of the refusal.")
    seconds: Seconds
    usage: Usage
    versions: Versions | None = Field(None, description="Versions of the agent that did it.")


class StepAsked(RunEvent):
    """A step needs a human decision. `call`: the tool call concerned; `proposal`: that call, if it was not made."""

    step_id: str
    question: str
    options: list[str]
    call: str | None = None
    proposal: Proposal | None = None
    kind: Kind | None = None
    background: Background | None = None


class AttemptFailed(RunEvent):
    """A handoff failed. `final`: it is not retried."""

    handoff_id: str
    error: ErrorInfo
    final: bool


class StepsReopened(RunEvent):
    """Steps must be redone, with reasons. A synthesis is written again in any case."""

    step_ids: list[str] = Field(description="Empty: only the synthesis is written again.")
    feedback: list[str]
