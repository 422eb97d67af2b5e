"""What a model said, and what it took."""

from typing import Any

from pydantic import ValidationError

from schemas.budget import Usage
from schemas.message import Part
from shared.limits import Outcome
from shared.llm.endpoints import Endpoint
from shared.llm.request import NotAnswered
from shared.llm.usage import size_of, usage_of


class ToolRequest(Part):
    """A tool the model wants called. `arguments` is what it wrote: perhaps not even JSON."""

    id: str
    name: str
    arguments: str


class Reply(Part):
    """One answer of a model, with what it took."""

    content: str | None
    tool_requests: list[ToolRequest]
    finish_reason: str
    model: str
    """Which really answered, as its endpoint calls it."""
    seconds: float
    usage: Usage
    endpoint: str = ""
    instead_of: str | None = None
    """The endpoint it stood in for; None: it was the preferred one."""

    @property
    def message(self) -> dict[str, Any]:
        """What the model said, as a message of a chat."""
        calls = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in self.tool_requests
        ]
        return {"role": "assistant", "content": self.content, "tool_calls": calls}


class Vectors(Part):
    """Texts as vectors, in their order, with what it took."""

    vectors: list[list[float]]
    model: str
    """Vectors of different models cannot be compared."""
    usage: Usage


def vectors_of(found: Any, endpoint: Endpoint, request_bytes: int) -> Vectors:
    """The vectors in a provider's answer. Raises NotAnswered when they cannot be read."""
    try:
        inputs = sorted(found.data, key=lambda each: each.index)
        usage = usage_of(found.usage, request_bytes, 0, endpoint.price)
        return Vectors(vectors=[each.embedding for each in inputs], model=found.model or endpoint.model, usage=usage)
    except (AttributeError, TypeError, ValidationError) as garbled:
        raise NotAnswered("garbled", Outcome.FAILED) from garbled


def reply_of(completion: Any, endpoint: Endpoint, request_bytes: int, seconds: float) -> Reply:
    """The reply in a completion. Raises NotAnswered when there is none that can be read."""
    try:
        return _reply(completion, endpoint, request_bytes, seconds)
    except (AttributeError, TypeError, IndexError, ValidationError) as garbled:
        raise NotAnswered("garbled", Outcome.FAILED) from garbled


def _reply(completion: Any, endpoint: Endpoint, request_bytes: int, seconds: float) -> Reply:
    choice = completion.choices[0]
    requests = [
        ToolRequest(id=call.id, name=call.function.name, arguments=call.function.arguments or "{}")
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    said = [{"": choice.message.content or ""}, *({each.name: each.arguments} for each in requests)]
    return Reply(
        content=choice.message.content,
        tool_requests=requests,
        finish_reason=choice.finish_reason or "stop",
        model=completion.model or endpoint.model,
        seconds=seconds,
        usage=usage_of(completion.usage, request_bytes, size_of(said) - 8, endpoint.price),
        endpoint=endpoint.name,
    )
