"""Replies of the simulated model: text, or tool calls."""

import json
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool call. `raw` replaces the arguments' JSON to break it."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None

    @property
    def text(self) -> str:
        """Return the arguments in wire format."""
        return self.raw if self.raw is not None else json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One assistant message: content, or calls."""

    content: str | None = None
    calls: tuple[PlannedCall, ...] = ()
    cut: bool = False

    @property
    def finish_reason(self) -> str:
        """Return the finish reason."""
        if self.cut:
            return "length"
        return "tool_calls" if self.calls else "stop"

    def at_most(self, tokens: int | None) -> "Reply":
        """Truncate after this many tokens of content, as a real model does."""
        if tokens is None or self.content is None or len(self.content) <= tokens * 4:
            return self
        return replace(self, content=self.content[: tokens * 4], cut=True)
