"""A model server with a window: it keeps every prompt, refuses those that are too long, and calls a tool many times."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from shared.blackboard import Journal
from shared.packing import assemble
from shared.packing.record import turn_name
from tests.support.hostile_model import Asked, Hostile, calls, final

SUMMARISER = "You are the summariser agent of Waggle."

Move = Callable[[Asked], Awaitable[None]]


async def summarise(asked: Asked) -> None:
    """Answer with one fact for each summary."""
    await asked.reply(
        {"content": json.dumps({"facts": ["The total of the depot is 4711."], "open_questions": ["Why?"]})}
    )


@dataclass
class LongModel:
    """Calls `look` until it has given `turns` replies, then answers. `window`: in tokens of its own count."""

    turns: int
    window: int = 1_000_000
    summary: Move = summarise
    prompts: list[list[dict[str, Any]]] = field(default_factory=list)
    """Messages of each turn, as they came."""
    tokens: list[int] = field(default_factory=list)
    """Tokens of each of these prompts, by the server's count."""
    summarised: list[list[dict[str, Any]]] = field(default_factory=list)
    """Messages of the requests for a summary."""
    refused: list[int] = field(default_factory=list)
    """Tokens of the refused prompts."""
    reports: bool = True
    server: Hostile = field(init=False)

    def __post_init__(self) -> None:
        self.server = Hostile(self._move)

    async def _move(self, asked: Asked) -> None:
        messages = asked.body["messages"]
        if messages[0]["content"].startswith(SUMMARISER):
            self.summarised.append(messages)
            return await self.summary(asked)
        if asked.prompt_tokens > self.window:
            self.refused.append(asked.prompt_tokens)
            words = f"This model's maximum context length is {self.window} tokens. Reduce the length of the messages."
            return await asked.send(json.dumps({"error": {"message": words, "code": 400}}).encode(), 400)
        self.prompts.append(messages)
        self.tokens.append(asked.prompt_tokens)
        number = len(self.prompts)
        usage = "honest" if self.reports else "none"
        return await asked.reply(final() if number > self.turns else calls({"at": f"place {number}"}), usage)


def assert_reproduced(journal: Journal, prompts: list[list[dict[str, Any]]]) -> None:
    """Make the prompt of every turn from the journal alone, and compare it with what came, key by key."""
    entries = journal.entries()
    for turn, prompt in enumerate(prompts, 1):
        assert turn_name("think-1", turn) in entries
        assert json.dumps(assemble(entries, "think-1", turn)) == json.dumps(prompt), f"turn {turn} differs"


def assert_paired(prompt: list[dict[str, Any]]) -> None:
    """Every call has its answer right behind it, and every answer its call."""
    open_calls: list[str] = []
    for message in prompt:
        if message["role"] == "tool":
            assert open_calls.pop(0) == message["tool_call_id"]
            continue
        assert open_calls == []
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
    assert open_calls == []
