"""What a model said, and what it took."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from schemas.budget import Usage
from schemas.message import Part
from shared.limits import Outcome
from shared.llm.endpoints import Endpoint
from shared.llm.request import NotAnswered
from shared.llm.usage import NOTHING, Amount, reply_amount, usage_of

MOST_CALLS = 64
"""Tool calls of one reply; the others were not made, and the chat does not have them."""


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


def vectors_of(found: Any, endpoint: Endpoint, prompt: Amount) -> Vectors:
    """The vectors in a provider's answer. Raises NotAnswered when they cannot be read."""
    try:
        inputs = sorted(found.data, key=lambda each: each.index)
        usage = usage_of(found.usage, prompt, NOTHING, endpoint.price)
        return Vectors(vectors=[each.embedding for each in inputs], model=found.model or endpoint.model, usage=usage)
    except (AttributeError, TypeError, ValidationError) as garbled:
        raise NotAnswered("garbled", Outcome.FAILED) from garbled


def reply_of(completion: Any, endpoint: Endpoint, prompt: Amount, longest: int, seconds: float) -> Reply:
    """The reply in a completion, for which so many tokens were asked for. Raises NotAnswered when none can be read."""
    try:
        return _reply(completion, endpoint, prompt, longest, seconds)
    except (AttributeError, TypeError, IndexError, ValidationError) as garbled:
        raise NotAnswered("garbled", Outcome.FAILED) from garbled


def _reply(completion: Any, endpoint: Endpoint, prompt: Amount, longest: int, seconds: float) -> Reply:
    choice = completion.choices[0]
    content, calls = choice.message.content, choice.message.tool_calls or []
    said = [(call.function.name, call.function.arguments or "") for call in calls if call.type == "function"]
    return Reply(
        content=content,
        tool_requests=_requests(calls[:MOST_CALLS]),
        finish_reason=choice.finish_reason or "stop",
        model=completion.model or endpoint.model,
        seconds=seconds,
        usage=usage_of(completion.usage, prompt, reply_amount(content or "", said, longest), endpoint.price),
        endpoint=endpoint.name,
    )


def _requests(calls: Sequence[Any]) -> list[ToolRequest]:
    """Each with an id of its own: the next request is refused by providers if an id is missing or is there twice."""
    requests: dict[str, ToolRequest] = {}
    for number, call in enumerate(calls, 1):
        if call.type == "function":
            id = call.id if call.id and call.id not in requests else f"call-{number}-of-{len(calls)}"
            requests[id] = ToolRequest(id=id, name=call.function.name, arguments=call.function.arguments or "{}")
    return list(requests.values())
