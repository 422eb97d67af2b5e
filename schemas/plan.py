"""Plans and the agents and tools they can use."""

from enum import StrEnum

from pydantic import Field

from schemas.message import JsonObject, Part, Slug, Text
from schemas.versions import Versions

PLANNER = "planner"
REVIEWER = "reviewer"
"""Agents that every run needs, besides those of its steps."""


class Risk(StrEnum):
    """Potential damage if an action goes wrong."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Effect(StrEnum):
    """Effect of a tool, by the consequence of calling it twice."""

    READ = "read"
    """Changes nothing."""
    IDEMPOTENT = "idempotent"
    """Calling twice with one idempotency key equals calling once."""
    COMPENSABLE = "compensable"
    """Can be undone by another action."""
    IRREVERSIBLE = "irreversible"
    """Cannot be undone."""


class PlannedStep(Part):
    """One unit of work for one agent."""

    id: Slug
    objective: Text
    agent: Slug
    tools: list[str] = Field(default_factory=list, description="Tools the step needs; empty: all tools of the agent.")
    depends_on: list[Slug] = Field(default_factory=list, description="Steps whose output this one builds on.")
    risk: Risk = Risk.LOW


class Plan(Part):
    """Steps with dependencies. `shared.runs.planning` checks that it is valid."""

    steps: list[PlannedStep] = Field(min_length=1, max_length=40)
    rationale: str = ""


class ToolCard(Part):
    """A tool, as planners see it."""

    name: str
    description: str
    risk: Risk
    source: str | None = Field(None, description="Origin of a tool that is not built into Waggle: `mcp:<server>`.")


class AgentCard(Part):
    """An agent's description of itself, published when it starts."""

    name: Slug
    description: str
    plannable: bool = Field(True, description="True if a plan may give it steps.")
    tools: list[ToolCard] = Field(default_factory=list)
    versions: Versions | None = Field(None, description="Versions of the agent, its instructions and its tools.")
    result_schema: JsonObject | None = Field(
        None, description="JSON Schema of `data` in the outputs of its steps; null: it has no result type of its own."
    )
