"""Report of a replica of an agent on its dependencies: the MCP servers and the models that it uses."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from schemas.message import Count, Instant, Part, Seconds, Slug

LONGEST_FINDING = 300
MOST_REPORTED = 50
"""Servers, and endpoints of models, in one report."""

Finding: TypeAlias = Annotated[str, StringConstraints(max_length=LONGEST_FINDING)]
Name: TypeAlias = Annotated[str, StringConstraints(max_length=200)]


class ServerHealth(Part):
    """State of the connection to one MCP server."""

    name: Name
    connected: bool
    since: Instant | None = Field(None, description="Start of this state; null: it has not been tried yet.")
    tools: Count = Field(0, description="Tools of it that the agent offers its model.")
    error: Finding = Field("", description="The last error in our words; empty: there was none.")
    error_at: Instant | None = None


class ModelHealth(Part):
    """Outcome of the last check of one endpoint of a model."""

    endpoint: Name = Field(description="Name of the endpoint in the file of models; empty: it has none.")
    model: Name
    verdict: Literal["ok", "warn", "fail"]
    found: Finding
    action: Finding = ""
    seconds: Seconds = Field(description="Time that the endpoint took to answer.")
    at: Instant


class AgentHealth(Part):
    """Report of one replica of an agent."""

    agent: Slug
    replica: Slug = Field(description="Random name of the process.")
    servers: list[ServerHealth] = Field(default_factory=list, max_length=MOST_REPORTED)
    models: list[ModelHealth] = Field(default_factory=list, max_length=MOST_REPORTED)
