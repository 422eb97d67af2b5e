"""A model server that keeps to nothing but HTTP, and counts for itself what it was sent and what it has sent."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

PRICE = (1.0, 2.0)
"""US dollars per million tokens of prompt and reply."""

BYTES_A_TOKEN = 4

MARKER = re.compile(r"marker[0-9a-f]{6}")

FINDINGS = {"answer": "It is 3.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


@dataclass
class Hostile:
    """The server. `move` answers each request; what it does is up to it."""

    move: Callable[["Asked"], Awaitable[None]]
    requests: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    runs: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    """The same by the marker that a run's objective has."""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.reply_tokens

    @property
    def dollars(self) -> float:
        return (self.prompt_tokens * PRICE[0] + self.reply_tokens * PRICE[1]) / 1e6

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    asked = await read(self, reader, writer)
                    self.requests += 1
                    await self.move(asked)
                    if writer.is_closing():
                        return
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def read(server: Hostile, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "Asked":
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    return Asked(server, json.loads(await reader.readexactly(int(length.split(":")[1]))), writer)


@dataclass
class Asked:
    """One request, and what can be sent back."""

    server: Hostile
    body: dict[str, Any]
    writer: asyncio.StreamWriter

    @property
    def turn(self) -> int:
        return sum(message["role"] == "assistant" for message in self.body["messages"])

    @property
    def longest(self) -> int:
        return self.body["max_completion_tokens"]

    def bill(self, said: int | None = None) -> None:
        """Count the request, and a reply of so many bytes; None: as long as was asked for, wherever it went."""
        reply = self.longest if said is None else said // BYTES_A_TOKEN
        self.server.prompt_tokens += self.prompt_tokens
        self.server.reply_tokens += reply
        marker = MARKER.search(json.dumps(self.body["messages"]))
        of_run = self.server.runs[marker[0] if marker else ""]
        of_run[0] += self.prompt_tokens
        of_run[1] += reply

    async def send(self, content: bytes, status: int = 200, **headers: object) -> None:
        """One whole answer."""
        await self.begin(status, **{"content_length": len(content)} | headers)
        await self.write(content)

    async def begin(self, status: int = 200, **headers: object) -> None:
        named = {"content_type": "application/json"} | headers
        lines = [f"HTTP/1.1 {status} So", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def write(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()

    async def reply(self, message: dict[str, Any], usage: object = "honest", finish: object = "stop") -> None:
        """A completion, for which is billed what is true."""
        said = sum(len(text.encode(errors="replace")) for text in texts_of(message))
        self.bill(said)
        truth = {"prompt_tokens": self.prompt_tokens, "completion_tokens": said // BYTES_A_TOKEN}
        choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
        told = {"usage": truth if usage == "honest" else usage} if usage != "none" else {}
        about = {"id": "x", "object": "chat.completion", "created": 1, "model": self.body["model"]}
        await self.send(json.dumps(about | {"choices": [choice]} | told).encode())

    @property
    def prompt_tokens(self) -> int:
        parts = [*self.body["messages"], *self.body.get("tools", [])]
        return sum(len(json.dumps(part, ensure_ascii=False).encode()) for part in parts) // BYTES_A_TOKEN


def texts_of(message: dict[str, Any]) -> list[str]:
    """Text that a model has to write for this message, if it is one."""
    wanted = message.get("tool_calls")
    made = [each.get("function", {}) for each in wanted if isinstance(each, dict)] if isinstance(wanted, list) else []
    content = message.get("content")
    return [content if isinstance(content, str) else "", *(json.dumps(each, ensure_ascii=False) for each in made)]


def calls(*arguments: object, name: str = "look", ids: Callable[[int], object] = "call_{}".format) -> dict[str, Any]:
    """A message that wants the tool called with each of the arguments."""
    written = [each if isinstance(each, str) else json.dumps(each) for each in arguments]
    functions = [{"name": name, "arguments": each} for each in written]
    made = [{"id": ids(number), "type": "function", "function": each} for number, each in enumerate(functions)]
    return {"content": None, "tool_calls": made}


def final() -> dict[str, Any]:
    return {"content": json.dumps(FINDINGS)}
