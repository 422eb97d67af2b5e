"""The one door to language models: any OpenAI-compatible endpoint, a model for each role."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import httpx2
import openai
from pydantic import BaseModel

from schemas.budget import Usage
from schemas.message import Part
from shared.errors import RetryableError, TerminalError
from shared.llm.prices import cost_usd
from shared.llm.schema import strict_schema
from shared.settings import Settings
from shared.telemetry import traces

Chat = list[dict[str, Any]]
"""Messages as the wire protocol has them."""

UNAVAILABLE = "model_unavailable"


class Role(StrEnum):
    """What a model is wanted for."""

    STRONG = "strong"
    """Reasoning: planning, working, reviewing."""
    CHEAP = "cheap"
    """Parsing, extraction, summaries."""


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
    seconds: float
    usage: Usage

    @property
    def message(self) -> dict[str, Any]:
        """What the model said, as a message of a chat."""
        calls = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in self.tool_requests
        ]
        return {"role": "assistant", "content": self.content, "tool_calls": calls}


class Models:
    """Models by role. `chat` raises RetryableError when trying later may help, TerminalError when it will not."""

    def __init__(self, settings: Settings) -> None:
        self._names = {Role.STRONG: settings.model_strong, Role.CHEAP: settings.model_cheap}
        self._client = _client(settings)
        self._server = (self._client.base_url.host, self._client.base_url.port)

    def name_of(self, role: Role) -> str:
        """The model of that role."""
        return self._names[role]

    async def chat(
        self,
        role: Role,
        messages: Chat,
        *,
        tools: Sequence[dict[str, Any]] = (),
        result: type[BaseModel],
        max_output_tokens: int,
    ) -> Reply:
        """Ask once. The reply wants tools called, or is meant to be JSON of the `result` model: not checked here."""
        request: dict[str, Any] = {
            "model": self._names[role],
            "messages": messages,
            "max_completion_tokens": max_output_tokens,
            "response_format": _response_format(result),
        }
        if tools:
            request["tools"] = list(tools)
        with traces.chatting(request["model"], max_output_tokens, messages, *self._server) as span:
            started = time.monotonic()
            reply = _reply(await self._ask(request), time.monotonic() - started)
            traces.answered(span, reply.model, reply.finish_reason, reply.message)
            traces.spent(span, reply.usage)
            return reply

    async def _ask(self, request: dict[str, Any]) -> Any:
        try:
            return await self._client.chat.completions.create(**request)
        except (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError) as away:
            raise RetryableError(f"the model endpoint: {type(away).__name__}", after=2.0, code=UNAVAILABLE) from away
        except openai.APIStatusError as refused:
            raise TerminalError(
                f"the model endpoint refused the request with status {refused.status_code}", code="model_refused"
            ) from refused
        except (openai.APIResponseValidationError, ValueError) as garbled:
            raise RetryableError(
                "the model endpoint answered something that is not JSON", after=1.0, code=UNAVAILABLE
            ) from garbled

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _client(settings: Settings) -> openai.AsyncOpenAI:
    """A client on aiohttp's transport: with a thousand calls at once, each costs half of what it does without."""
    return openai.AsyncOpenAI(
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key.get_secret_value(),
        timeout=settings.model_timeout,
        max_retries=3,
        http_client=openai.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=settings.max_in_flight)),
    )


def _response_format(result: type[BaseModel]) -> dict[str, Any]:
    schema = {"name": result.__name__, "strict": True, "schema": strict_schema(result)}
    return {"type": "json_schema", "json_schema": schema}


def _reply(completion: Any, seconds: float) -> Reply:
    if not completion.choices:
        raise RetryableError("the model endpoint answered without a choice", after=1.0, code=UNAVAILABLE)
    choice = completion.choices[0]
    requests = [
        ToolRequest(id=call.id, name=call.function.name, arguments=call.function.arguments or "{}")
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    return Reply(
        content=choice.message.content,
        tool_requests=requests,
        finish_reason=choice.finish_reason or "stop",
        model=completion.model,
        seconds=seconds,
        usage=_usage(completion),
    )


def _usage(completion: Any) -> Usage:
    used = completion.usage
    prompt, completed = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completed,
        cost_usd=cost_usd(completion.model, prompt, completed),
        model_calls=1,
    )
