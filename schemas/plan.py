"""Plans and the agents and tools they can use."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from schemas.message import MOST, JsonObject, Part, Slug, Text
from schemas.versions import Versions

PLANNER = "planner"
REVIEWER = "reviewer"
"""Agents that every run needs, besides those of its steps."""

WRITER = "writer"
"""Agent that writes one answer from the outputs of several steps, for the runs that need it."""


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

    @property
    def reversibility(self) -> str:
        """Describe whether a call can be undone or repeated."""
        return _REVERSIBILITY[self]


_REVERSIBILITY = {
    Effect.READ: "changes nothing",
    Effect.IDEMPOTENT: "may be repeated without a second effect",
    Effect.COMPENSABLE: "can be undone by another action",
    Effect.IRREVERSIBLE: "cannot be undone",
}


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


class ToolScope(Part):
    """Reach of a tool's calls."""

    local: bool = Field(description="True if it acts on the step's own folder only.")
    destinations: list[Annotated[str, StringConstraints(max_length=200)]] | None = Field(
        None,
        max_length=50,
        description="Arguments that name where data goes or what is acted on; null: undeclared, so any may.",
    )
    some_tenants: bool = Field(False, description="True if only the runs of some tenants may call it.")

    @property
    def in_words(self) -> str:
        """Describe the reach."""
        if self.local:
            reach = "the step's own folder only"
        elif self.destinations is None:
            reach = "any argument may name a destination"
        else:
            reach = f"what is named by {', '.join(self.destinations)}" if self.destinations else "sends nothing out"
        return f"{reach}; for some tenants only" if self.some_tenants else reach


class ArgumentSchema(Part):
    """JSON Schema of a tool's arguments, cut where it is large."""

    content: JsonObject = Field(description="The schema, or what is left of it: at most 4,000 characters of JSON.")
    cut: Literal["", "prose", "nested"] = Field(
        "", description="Left out of a large schema: `prose`, or all but the name, type and bounds of each argument."
    )
    left_out: int = Field(0, ge=0, le=MOST, description="Number of arguments left out.")

    @property
    def note(self) -> str:
        """Describe what was cut; empty for a whole schema."""
        if self.cut == "prose":
            return "The schema is large: descriptions are left out."
        more = f", and {self.left_out} arguments" if self.left_out else ""
        return f"The schema is large: descriptions and members of objects are left out{more}." if self.cut else ""


class ToolCard(Part):
    """A tool, as planners and people see it. Agents of earlier versions announce no effect, scope and arguments."""

    name: str
    description: str
    risk: Risk
    source: str | None = Field(None, description="Origin of a tool that is not built into Waggle: `mcp:<server>`.")
    effect: Effect | None = Field(None, description="Effect of calling it, and of calling it twice.")
    scope: ToolScope | None = None
    arguments: ArgumentSchema | None = None

    def for_planner(self) -> Self:
        """Return the card without what planners do not choose by, which would fill their prompts."""
        return self.model_copy(update={"effect": None, "scope": None, "arguments": None})


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

    def for_planner(self) -> Self:
        """Return the card with what planners choose by."""
        return self.model_copy(update={"tools": [tool.for_planner() for tool in self.tools]})
