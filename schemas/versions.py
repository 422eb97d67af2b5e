"""Versions behind an answer, needed to compare and replay runs."""

from pydantic import Field

from schemas.message import Part


class Versions(Part):
    """Versions of an agent and its parts: the package's version, `+`, and a digest of the content."""

    agent: str = Field(description="Version of the handler, with its instructions and tools.")
    prompt: str = Field(description="Version of the instructions.")
    tools: str = Field(description="Version of the names, descriptions and schemas of all tools.")
    model: str | None = Field(None, description="Name of the model.")
