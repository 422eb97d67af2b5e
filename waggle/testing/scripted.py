"""A model that replies from a script."""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from pydantic import BaseModel

from schemas.budget import Usage
from shared.config import ModelRole
from shared.llm import Chat, Demand, Estimate, Reply, ToolRequest, Window
from shared.llm.prices import Price
from shared.llm.stand_in import Request, StandInModels

MODEL = "scripted"
CONTEXT = 128_000
"""Tokens."""
BYTES_PER_TOKEN = 4
"""Estimate for usage: the script needs no tokenizer."""


class ScriptError(AssertionError):
    """The script does not fit what the agent does; the message says what to change."""


class ToolCalls(NamedTuple):
    """A turn in which the model calls tools, in this order: (name, arguments) each."""

    calls: tuple[tuple[str, dict[str, Any]], ...]

    def __and__(self, other: "ToolCalls") -> "ToolCalls":
        """Return one turn with the calls of both."""
        return ToolCalls(self.calls + other.calls)


def calls(name: str, /, **arguments: Any) -> ToolCalls:
    """Script a turn in which the model calls a tool.

    Joined by `&`, two such turns are one turn with both calls.
    """
    return ToolCalls(((name, arguments),))


Turn: TypeAlias = ToolCalls | BaseModel | dict[str, Any] | str | Exception
"""Tool calls; or the answer as a model, as JSON data, or as raw text; or an error that the model call raises."""


class Scripted(StandInModels):
    """Replies with the next turn of the script each time the agent asks its model."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = list(turns)
        self._taken = 0
        self.chats: list[Chat] = []
        """Messages that the model was shown, turn by turn."""

    @property
    def left(self) -> int:
        """Number of turns that have not been asked for."""
        return len(self._turns) - self._taken

    def name_of(self, role: ModelRole) -> str:
        """Return the name of the model."""
        return MODEL

    def window(self, role: ModelRole) -> Window:
        """Return the context of the model."""
        return Window(CONTEXT, Estimate(), (MODEL,))

    async def reply_to(self, request: Request) -> Reply:
        """Return the next turn as a reply. Raises ScriptError, and what the script says is raised."""
        self.chats.append(list(request.messages))
        turn = self._next([tool["function"]["name"] for tool in request.tools], request.result)
        size = len(json.dumps(request.messages))
        async with request.spending(Demand(MODEL, size, request.longest, Price(0, 0))) as permit:
            reply = _reply(turn, self._taken, size // BYTES_PER_TOKEN)
            permit.settle(reply.usage)
        return reply

    def _next(self, offered: list[str], result: type[BaseModel]) -> Turn:
        if not self.left:
            wanted = f"add the turn that comes after these {self._taken} to Scripted([...])"
            raise ScriptError(f"the script is exhausted: the agent asks for a {result.__name__}; {wanted}")
        turn = self._turns[self._taken]
        self._taken += 1
        for name, _ in turn.calls if isinstance(turn, ToolCalls) else ():
            if name not in offered:
                raise ScriptError(_unknown(name, offered, self._taken))
        if isinstance(turn, Exception):
            raise turn
        return turn


def _unknown(name: str, offered: list[str], turn: int) -> str:
    near = get_close_matches(name, offered, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "give it to the agent in tools=[...], or correct the script"
    return f"turn {turn} of the script calls `{name}`; the agent offers: {', '.join(offered) or 'no tool'}; {hint}"


def _reply(turn: Turn, number: int, prompt_tokens: int) -> Reply:
    requests = turn.calls if isinstance(turn, ToolCalls) else ()
    content = None if isinstance(turn, ToolCalls) else _text(turn)
    written = content or json.dumps(requests)
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=len(written) // BYTES_PER_TOKEN + 1, model_calls=1)
    return Reply(
        content=content,
        tool_requests=[
            ToolRequest(id=f"scripted-{number}-{place}", name=name, arguments=json.dumps(arguments))
            for place, (name, arguments) in enumerate(requests, 1)
        ],
        finish_reason="tool_calls" if requests else "stop",
        model=MODEL,
        endpoint=MODEL,
        seconds=0.0,
        usage=usage,
    )


def _text(turn: BaseModel | dict[str, Any] | str | Exception) -> str:
    if isinstance(turn, BaseModel):
        return turn.model_dump_json()
    return turn if isinstance(turn, str) else json.dumps(turn)
