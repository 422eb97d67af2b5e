"""What a planner proposes."""

from enum import StrEnum

from pydantic import Field

from schemas.message import Part, Slug, Text
from schemas.versions import Versions


class Risk(StrEnum):
    """What an action may cost if it goes wrong."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Effect(StrEnum):
    """What calling a tool twice would do."""

    READ = "read"
    """Changes nothing."""
    IDEMPOTENT = "idempotent"
    """Twice with one idempotency key is once."""
    COMPENSABLE = "compensable"
    """Can be undone by another action."""
    IRREVERSIBLE = "irreversible"
    """Cannot be undone."""


class PlannedStep(Part):
    """One unit of work for one agent."""

    id: Slug
    objective: Text
    agent: Slug
    tools: list[str] = Field(default_factory=list, description="Tools the step needs; empty: all the agent has.")
    depends_on: list[Slug] = Field(default_factory=list, description="Steps whose output this one builds on.")
    risk: Risk = Risk.LOW


class Plan(Part):
    """Steps with dependencies. `shared.runs.planning` says whether it can be carried out."""

    steps: list[PlannedStep] = Field(min_length=1, max_length=40)
    rationale: str = ""


class ToolCard(Part):
    """What a planner knows of a tool."""

    name: str
    description: str
    risk: Risk
    source: str | None = Field(None, description="Where it is from, when it is no part of Waggle: `mcp:<server>`.")


class AgentCard(Part):
    """What an agent tells the swarm about itself when it starts."""

    name: Slug
    description: str
    plannable: bool = Field(True, description="Whether a plan may give it steps.")
    tools: list[ToolCard] = Field(default_factory=list)
    versions: Versions | None = Field(None, description="Of the agent, its instructions and its tools.")
