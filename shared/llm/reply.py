"""Replies of models, with their usage."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from pydantic import ValidationError

from schemas.budget import Usage
from schemas.message import Part
from shared.llm.endpoints import Endpoint
from shared.llm.failure import GARBLED, NotAnswered
from shared.llm.usage import NOTHING, Amount, reply_amount, usage_of
from shared.resilience import Outcome

MOST_CALLS = 64
"""Tool calls of one reply; further ones are dropped, from the chat too."""

LONGEST_REASONING = 50_000
"""Characters of a reply's reasoning that are recorded."""


class ToolRequest(Part):
    """A tool call requested by the model. `arguments` is its raw text, which may not even be JSON."""

    id: str
    name: str
    arguments: str


class Reply(Part):
    """One reply of a model, with its usage."""

    content: str | None
    tool_requests: list[ToolRequest]
    finish_reason: str
    model: str
    """The model that answered, as named by its endpoint."""
    seconds: float
    usage: Usage
    endpoint: str = ""
    instead_of: str | None = None
    """Preferred endpoint it replaced; None if it was the preferred one."""
    reasoning: str | None = None
    """Reasoning, if the provider gives it. It is recorded, and no part of the chat."""

    @property
    def message(self) -> dict[str, Any]:
        """The reply as a message of a chat."""
        calls = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in self.tool_requests
        ]
        return {"role": "assistant", "content": self.content, "tool_calls": calls}


class Vectors(Part):
    """Embeddings of texts, in order, with their usage."""

    vectors: list[list[float]]
    model: str
    """Name of the model; vectors of different models are not comparable."""
    usage: Usage


def vectors_of(found: Any, endpoint: Endpoint, prompt: Amount) -> Vectors:
    """Parse the vectors in a provider's answer. Raises NotAnswered if they are malformed."""
    try:
        inputs = sorted(found.data, key=lambda each: each.index)
        usage = usage_of(found.usage, prompt, NOTHING, endpoint.price)
        return Vectors(vectors=[each.embedding for each in inputs], model=found.model or endpoint.model, usage=usage)
    except (AttributeError, TypeError, ValidationError) as garbled:
        raise NotAnswered(GARBLED, Outcome.FAILED, words="the reply has an unexpected structure") from garbled


def reply_of(completion: Any, endpoint: Endpoint, prompt: Amount, longest: int, seconds: float) -> Reply:
    """Parse the reply in a completion of at most `longest` tokens. Raises NotAnswered if it is malformed."""
    try:
        return _reply(completion, endpoint, prompt, longest, seconds)
    except (AttributeError, TypeError, IndexError, ValidationError) as garbled:
        raise NotAnswered(GARBLED, Outcome.FAILED, words="the reply has an unexpected structure") from garbled


def _reply(completion: Any, endpoint: Endpoint, prompt: Amount, longest: int, seconds: float) -> Reply:
    choice = completion.choices[0]
    content, calls = _encodable(choice.message.content), choice.message.tool_calls or []
    wanted = [_request(call) for call in calls if call.type == "function"]
    written = [(call.name, call.arguments) for call in wanted]
    return Reply(
        content=content,
        tool_requests=_with_unique_ids(wanted[:MOST_CALLS]),
        finish_reason=_encodable(choice.finish_reason) or "stop",
        model=_encodable(completion.model) or endpoint.model,
        seconds=seconds,
        usage=usage_of(completion.usage, prompt, reply_amount(content or "", written, longest), endpoint.price),
        endpoint=endpoint.name,
        reasoning=_reasoning(choice.message),
    )


def _reasoning(message: Any) -> str | None:
    """Return the reasoning in a message, by either of the names that providers give it."""
    named = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    found = next((each for each in named if isinstance(each, str) and each), None)
    return None if found is None else _encodable(found[:LONGEST_REASONING])


def _request(call: Any) -> ToolRequest:
    name, arguments = _encodable(call.function.name), _encodable(call.function.arguments)
    return ToolRequest(id=_encodable(call.id) or "", name=name, arguments=arguments or "{}")


def _with_unique_ids(requests: Sequence[ToolRequest]) -> list[ToolRequest]:
    """Give each a unique id: providers reject the next request if an id is missing or repeated."""
    taken = {request.id for request in requests} | {""}
    fresh = (id for number in count(1) if (id := f"call-{number}") not in taken)
    unique: dict[str, ToolRequest] = {}
    for request in requests:
        id = next(fresh) if not request.id or request.id in unique else request.id
        unique[id] = request.model_copy(update={"id": id})
    return list(unique.values())


def _encodable(text: Any) -> Any:
    """Return a text that can be encoded as UTF-8: JSON may contain lone surrogates."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text
