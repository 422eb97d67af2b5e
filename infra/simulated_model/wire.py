"""OpenAI wire protocol: parsed requests, and written replies."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from infra.simulated_model.reply import Reply

MODEL = "waggle-simulated"
FINGERPRINT = "simulated"
CREATED = 1_735_689_600
"""A fixed time (2025-01-01), so that equal requests get equal replies."""
CHUNK = 200
"""Characters of one streamed piece."""


class Loose(BaseModel):
    """Base of the parts. Ignores the many other fields clients send."""

    model_config = ConfigDict(extra="allow")


class CalledFunction(Loose):
    """The function of a tool call, arguments as JSON text."""

    name: str
    arguments: str = "{}"


class CalledTool(Loose):
    """A tool call of an assistant message."""

    id: str
    function: CalledFunction


class ChatMessage(Loose):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class Function(Loose):
    """A function that may be called."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class ToolSpec(Loose):
    """A tool that may be called."""

    type: Literal["function"]
    function: Function


class StreamOptions(Loose):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(Loose):
    """Body of `POST /v1/chat/completions`."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[ToolSpec] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] = "auto"
    response_format: dict[str, Any] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    n: Literal[1] = 1

    @property
    def most_tokens(self) -> int | None:
        """Maximum tokens of the reply."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def answer_schema(self) -> dict[str, Any] | None:
        """JSON Schema that the final answer must fit, if given."""
        if (self.response_format or {}).get("type") != "json_schema":
            return None
        schema: dict[str, Any] = (self.response_format or {}).get("json_schema", {}).get("schema", {})
        return schema


def tokens(text: str) -> int:
    """Estimate tokens: four characters each."""
    return -(-len(text) // 4)


def digest(request: ChatRequest) -> str:
    """Return an id of the request: equal for equal requests, streamed or not."""
    body = request.model_dump(mode="json", exclude={"stream", "stream_options"})
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]


def usage(request: ChatRequest, reply: Reply) -> dict[str, Any]:
    """Return token figures, estimated from the characters in and out."""
    asked = json.dumps([message.model_dump(mode="json", exclude_none=True) for message in request.messages])
    asked += json.dumps([tool.model_dump(mode="json") for tool in request.tools]) if request.tools else ""
    said = (reply.content or "") + "".join(call.name + call.text for call in reply.calls)
    prompt, completion = tokens(asked), tokens(said)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completion(request: ChatRequest, reply: Reply) -> dict[str, Any]:
    """Return the reply in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": None}
    if reply.calls:
        message["tool_calls"] = _calls(request, reply)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}
    return _frame(request, "chat.completion") | {"choices": [choice], "usage": usage(request, reply)}


def chunks(request: ChatRequest, reply: Reply) -> Iterator[str]:
    """Yield the reply as server-sent events."""
    frame = _frame(request, "chat.completion.chunk")

    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return f"data: {json.dumps(frame | {'choices': [choice]})}\n\n"

    yield event({"role": "assistant", "content": "" if reply.content is not None else None})
    for start in range(0, len(reply.content or ""), CHUNK):
        yield event({"content": (reply.content or "")[start : start + CHUNK]})
    for index, call in enumerate(_calls(request, reply)):
        yield event({"tool_calls": [{"index": index, **call}]})
    yield event({}, reply.finish_reason)
    if request.stream_options and request.stream_options.include_usage:
        yield f"data: {json.dumps(frame | {'choices': [], 'usage': usage(request, reply)})}\n\n"
    yield "data: [DONE]\n\n"


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """Return a failure in OpenAI's format."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _frame(request: ChatRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{digest(request)}",
        "object": kind,
        "created": CREATED,
        "model": request.model,
        "system_fingerprint": FINGERPRINT,
    }


def _calls(request: ChatRequest, reply: Reply) -> list[dict[str, Any]]:
    name = digest(request)
    return [
        {"id": f"call_{name}_{index}", "type": "function", "function": {"name": call.name, "arguments": call.text}}
        for index, call in enumerate(reply.calls)
    ]
