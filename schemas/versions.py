"""What an answer was made with: needed to compare runs, and to replay them."""

from pydantic import Field

from schemas.message import Part


class Versions(Part):
    """Versions of an agent and of what it works with: the package's version, `+`, and a digest of the content."""

    agent: str = Field(description="Of the handler, with the instructions and the tools.")
    prompt: str = Field(description="Of the instructions.")
    tools: str = Field(description="Of the names, descriptions and schemas of all its tools.")
    model: str | None = Field(None, description="Name of the model.")
