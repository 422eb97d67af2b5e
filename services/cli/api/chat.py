"""The parts of a turn that are in the model protocol's format: messages, tools and the reply."""

from pydantic import Field

from schemas.budget import Usage
from schemas.message import Part


class Function(Part):
    """A tool that was offered, or a call of it."""

    name: str
    description: str = ""
    arguments: str = ""


class ChatTool(Part):
    """An entry in a list of tools or calls."""

    function: Function


class ChatMessage(Part):
    """One message of a conversation with a model."""

    role: str
    content: str | None = None
    tool_calls: list[ChatTool] = Field(default_factory=list)


class ToolRequest(Part):
    """A call that the model requests."""

    name: str
    arguments: str


class ModelReply(Part):
    """A reply of a model, as the journal has it."""

    content: str | None = None
    tool_requests: list[ToolRequest] = Field(default_factory=list)
    model: str = ""
    usage: Usage = Usage()
