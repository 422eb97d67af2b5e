"""What a model said, and what it took."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from pydantic import ValidationError

from schemas.budget import Usage
from schemas.message import Part
from shared.llm.endpoints import Endpoint
from shared.llm.request import GARBLED, NotAnswered
from shared.llm.usage import NOTHING, Amount, reply_amount, usage_of
from shared.resilience import Outcome

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
        raise NotAnswered(GARBLED, Outcome.FAILED, words="its parts are not where they should be") from garbled


def reply_of(completion: Any, endpoint: Endpoint, prompt: Amount, longest: int, seconds: float) -> Reply:
    """The reply in a completion, for which so many tokens were asked for. Raises NotAnswered when none can be read."""
    try:
        return _reply(completion, endpoint, prompt, longest, seconds)
    except (AttributeError, TypeError, IndexError, ValidationError) as garbled:
        raise NotAnswered(GARBLED, Outcome.FAILED, words="its parts are not where they should be") from garbled


def _reply(completion: Any, endpoint: Endpoint, prompt: Amount, longest: int, seconds: float) -> Reply:
    choice = completion.choices[0]
    content, calls = _sound(choice.message.content), choice.message.tool_calls or []
    wanted = [_request(call) for call in calls if call.type == "function"]
    said = [(call.name, call.arguments) for call in wanted]
    return Reply(
        content=content,
        tool_requests=_told_apart(wanted[:MOST_CALLS]),
        finish_reason=_sound(choice.finish_reason) or "stop",
        model=_sound(completion.model) or endpoint.model,
        seconds=seconds,
        usage=usage_of(completion.usage, prompt, reply_amount(content or "", said, longest), endpoint.price),
        endpoint=endpoint.name,
    )


def _request(call: Any) -> ToolRequest:
    name, arguments = _sound(call.function.name), _sound(call.function.arguments)
    return ToolRequest(id=_sound(call.id) or "", name=name, arguments=arguments or "{}")


def _told_apart(requests: Sequence[ToolRequest]) -> list[ToolRequest]:
    """Each with an id of its own: the next request is refused by providers if an id is missing or is there twice."""
    taken = {request.id for request in requests} | {""}
    fresh = (id for number in count(1) if (id := f"call-{number}") not in taken)
    apart: dict[str, ToolRequest] = {}
    for request in requests:
        id = next(fresh) if not request.id or request.id in apart else request.id
        apart[id] = request.model_copy(update={"id": id})
    return list(apart.values())


def _sound(text: Any) -> Any:
    """A text that can be written down: JSON may hold halves of characters."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text
