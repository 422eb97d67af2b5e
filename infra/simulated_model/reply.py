"""What the simulated model says: text, or calls of tools."""

import json
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `raw` stands in for the arguments' JSON when it is to be broken."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None

    @property
    def text(self) -> str:
        """The arguments as they go over the wire."""
        return self.raw if self.raw is not None else json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One assistant message: content, or calls."""

    content: str | None = None
    calls: tuple[Call, ...] = ()
    cut: bool = False

    @property
    def finish_reason(self) -> str:
        """Why the reply ends where it ends."""
        if self.cut:
            return "length"
        return "tool_calls" if self.calls else "stop"

    def at_most(self, tokens: int | None) -> "Reply":
        """Cut off at that many tokens of content, as a real model is."""
        if tokens is None or self.content is None or len(self.content) <= tokens * 4:
            return self
        return replace(self, content=self.content[: tokens * 4], cut=True)
