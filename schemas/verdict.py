"""Verdicts of the gate on actions, and the approval requests that people see."""

from typing import Literal

from pydantic import Field

from schemas.budget import Usage
from schemas.message import MOST_SECONDS, Amount, Count, JsonObject, Part, Slug
from schemas.plan import Effect, Risk

LONGEST_PLACE, MOST_PLACES, LONGEST_EXCERPT = 500, 100, 300
"""Bounds of the facts of a call: characters of a destination, destinations, characters of the arguments."""


class PlaceFacts(Part):
    """One destination of a call, and the trust that texts and callers give it; the operator's patterns apply later."""

    name: str = Field(max_length=LONGEST_PLACE)
    cut: bool = Field(False, description="True if the name is shortened or redacted.")
    asked: bool = Field(False, description="A trusted text requests the call for it, or the caller permits it.")
    read: Literal["yes", "linked", "no"] = Field(
        "no", description="Of a read: `linked` if only a page of another host links to it."
    )


class EditFacts(Part):
    """Limits that a person gave when they changed a call."""

    risk: Risk | None = None
    moves: dict[str, Amount] = Field(default_factory=dict)
    recipients: Count = 0


class CallFacts(Part):
    """Input of the gate's rules for one tool call, without the operator's policy: another policy can judge it again."""

    risk: Risk = Field(description="As the tool declares it.")
    effect: Effect
    local: bool = Field(False, description="True if the tool acts on the step's own folder only.")
    declares: bool = Field(False, description="True if the tool declares the arguments that name destinations.")
    places: list[PlaceFacts] = Field(default_factory=list, max_length=MOST_PLACES)
    recipients: Count = Field(0, description="Number of destinations, also of those that are not listed.")
    moves: dict[str, Amount] = Field(default_factory=dict, description="Amount of `money`, number of `rows`.")
    step_risk: Risk = Field(Risk.LOW, description="As the plan states it.")
    confidence: float = Field(1.0, ge=0, le=1, description="Lowest of the inputs, and of the model in this call.")
    tainted: bool = Field(False, description="True if the agent had read untrusted content.")
    repeats: bool = Field(False, description="True if the run had made a similar call.")
    permitted: bool = Field(False, description="True if a person permitted exactly this call.")
    edited: EditFacts | None = Field(None, description="Set if that person changed the call.")
    verdict: Literal["allow", "ask", "deny"] = Field(description="Verdict of the gate, before shared limits applied.")
    rule: str
    notify: bool = False
    arguments: str = Field("", max_length=LONGEST_EXCERPT, description="Beginning of the arguments, as JSON.")


class Judgement(Part):
    """One verdict of the gate, with the rule that gave it."""

    call: str = Field(description="Place of the action in the work, as in its journal.")
    action: Literal["model_call", "tool_call", "message"]
    name: str = Field(description="Role of the model, name of the tool, or type of the message.")
    verdict: Literal["allow", "ask", "deny"]
    rule: str
    reason: str = ""
    digest: str | None = Field(None, description="Of a tool call: the digest that an approval is bound to.")
    risk: Risk | None = Field(None, description="Of a tool call: its effective risk, if the gate computed it.")
    notify: bool = Field(False, description="True if people are to be notified of the call, which was allowed.")
    facts: CallFacts | None = Field(None, description="Of a call of an offered tool; older records have none.")


class Proposal(Part):
    """A tool call that requires approval: exactly this one, with these arguments, once."""

    call: str
    tool: str
    source: str | None = Field(None, description="Origin of a tool that is not built into Waggle.")
    arguments: str = Field(description="JSON, as the model wrote it.")
    digest: str = Field(description="SHA-256 of the run, the work, the call, the tool and its arguments.")
    agent: Slug
    doing: str = Field(description="The objective the agent works on.")
    risk: Risk = Field(
        description="Effective risk: as declared, raised by thresholds, lowered if the task names the place."
    )
    effect: Effect
    rule: str = Field(description="Rule of the gate that requires the approval.")
    reason: str
    if_approved: str
    if_rejected: str
    confidence: float = Field(ge=0, le=1, description="Lowest confidence of the step's inputs.")
    stated_confidence: float | None = Field(
        None, ge=0, le=1, description="The model's own confidence in this very call, if it gave one."
    )
    parameters: JsonObject | None = Field(None, description="JSON Schema of the arguments.")
    moves: dict[str, Amount] = Field(default_factory=dict, description="Amount of `money`, number of `rows`.")
    recipients: int = Field(0, ge=0, le=1_000_000, description="Number of destinations.")
    edited_by: str | None = Field(None, max_length=200, description="Person who last changed the arguments.")
    changes: list[str] = Field(
        default_factory=list, max_length=50, description="Differences of repeated reads, if they were repeated."
    )
    origins: list[str] = Field(default_factory=list, description="Untrusted content the model has read.")
    tried: list[str] = Field(default_factory=list, description="Earlier calls of this work, with their outcomes.")
    usage: Usage = Field(default_factory=Usage, description="Usage of this attempt so far.")
    expires: float = Field(gt=0, le=MOST_SECONDS, description="Seconds until the request expires.")
    usable: float = Field(
        gt=0, le=MOST_SECONDS, description="Seconds after the approval within which the call must be made."
    )


class PlannedEffect(Part):
    """A call that a dry run has shown instead of making it, with the gate's verdict."""

    call: str
    tool: str
    source: str | None = Field(None, description="Origin of a tool that is not built into Waggle.")
    arguments: str = Field(description="JSON, as the model wrote it.")
    digest: str
    risk: Risk
    effect: Effect
    verdict: Literal["allow", "ask"]
    rule: str
    reason: str = ""
    moves: dict[str, Amount] = Field(default_factory=dict, description="Amount of `money`, number of `rows`.")
    recipients: int = Field(0, ge=0, le=1_000_000, description="Number of destinations.")
