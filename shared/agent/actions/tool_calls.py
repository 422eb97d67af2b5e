"""A tool call as a model asks for it, and as it was answered."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.tools import Tool, ToolError

LONGEST_TOLD = 120
"""Characters of arguments, where a person is told of a call."""


class ParsedToolCall(NamedTuple):
    """A tool call a model wants, read. `tool` is None for one that is not offered; `invalid` says what does not fit."""

    tool: Tool | None
    arguments: dict[str, object]
    invalid: ToolError | None


class ToolResult(NamedTuple):
    """A tool call and what the model was shown of its result, both as JSON."""

    tool: str
    arguments: str
    answer: str
    read_only: bool = False
    """True for a call that changes nothing anywhere: its answer is all there is of it."""

    @property
    def error(self) -> dict[str, Any] | None:
        """Why it did not work, as an `ErrorInfo` in JSON; None when it did."""
        data = json.loads(self.answer)
        return data.get("error") if isinstance(data, dict) else None

    @property
    def text(self) -> str:
        """Every text in the answer, each on lines of its own."""
        return "\n".join(_texts(json.loads(self.answer)))

    @property
    def told(self) -> str:
        """The call and how it went, for a person to read."""
        return f"{self.tool} {self.arguments[:LONGEST_TOLD]}: {'failed' if self.error else 'answered'}"


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
