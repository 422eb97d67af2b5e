"""What the gate says of an action before it is taken, and what a person is shown who shall permit one."""

from typing import Literal

from pydantic import Field

from schemas.budget import Usage
from schemas.message import MOST_SECONDS, Amount, Part, Slug
from schemas.plan import Effect, Risk


class Judgement(Part):
    """One verdict of the gate, and the rule that gave it."""

    call: str = Field(description="The action's place in the work, as its journal names it.")
    action: Literal["model_call", "tool_call", "message"]
    name: str = Field(description="The model's role, the tool, or the type of the message.")
    verdict: Literal["allow", "ask", "deny"]
    rule: str
    reason: str = ""
    digest: str | None = Field(None, description="Of a tool call: of what an approval would be bound to.")


class Proposal(Part):
    """A tool call that is not made before a person permits it: this one, with these arguments, once."""

    call: str
    tool: str
    source: str | None = Field(None, description="Where the tool is from, when it is no part of Waggle.")
    arguments: str = Field(description="JSON, as the model wrote it.")
    digest: str = Field(description="SHA-256 of the run, the work, the call, the tool and its arguments.")
    agent: Slug
    doing: str = Field(description="The objective the agent works on.")
    risk: Risk = Field(
        description="What counts: as declared, raised by thresholds, lowered if the task names the place."
    )
    effect: Effect
    rule: str = Field(description="Which rule of the gate asks.")
    reason: str
    if_approved: str
    if_rejected: str
    confidence: float = Field(ge=0, le=1, description="The lowest of what the step builds on.")
    origins: list[str] = Field(default_factory=list, description="The untrusted content the model has read.")
    tried: list[str] = Field(default_factory=list, description="The calls made before in this work, and how they went.")
    usage: Usage = Field(default_factory=Usage, description="What this try has cost until now.")
    expires: float = Field(gt=0, le=MOST_SECONDS, description="Seconds after which nobody is waited for any more.")
    usable: float = Field(
        gt=0, le=MOST_SECONDS, description="Seconds after the approval within which the call must be made."
    )


class PlannedEffect(Part):
    """A call that a dry run has shown instead of making it, with what the gate says to it."""

    call: str
    tool: str
    source: str | None = Field(None, description="Where the tool is from, when it is no part of Waggle.")
    arguments: str = Field(description="JSON, as the model wrote it.")
    digest: str
    risk: Risk
    effect: Effect
    verdict: Literal["allow", "ask"]
    rule: str
    reason: str = ""
    moves: dict[str, Amount] = Field(default_factory=dict, description="How much `money`, how many `rows`.")
