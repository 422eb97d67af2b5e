"""A tool call as a model requests it, and its result."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.llm import ToolRequest
from shared.tools import Tool, ToolError

LONGEST_SUMMARY = 120
"""Characters of the arguments in a summary."""


class ParsedToolCall(NamedTuple):
    """A tool call that a model or a handler requests, parsed and validated."""

    place: str
    """Its place in the work, the same on every delivery and attempt: the name of its journal entry."""
    request: ToolRequest
    tool: Tool | None
    """None for a tool that is not offered."""
    arguments: dict[str, object]
    invalid: ToolError | None
    """The error in the request, if any."""
    stated_confidence: float | None = None
    """The model's own confidence in this call, if it gave one."""
    edited_by: str | None = None
    """Person who changed the arguments."""
    instead_of: str = ""
    """The arguments of the request, as JSON, if a person changed them."""


class ToolResult(NamedTuple):
    """A tool call and the answer the model was given, both as JSON."""

    tool: str
    arguments: str
    answer: str
    read_only: bool = False
    """True for a call that changes nothing anywhere: its answer is its only effect."""

    @property
    def error(self) -> dict[str, Any] | None:
        """The error of a failed call, as an `ErrorInfo` in JSON; None for a successful one."""
        data = json.loads(self.answer)
        return data.get("error") if isinstance(data, dict) else None

    @property
    def text(self) -> str:
        """All strings of the answer, each on its own lines."""
        return "\n".join(_strings(json.loads(self.answer)))

    @property
    def summary(self) -> str:
        """The call and its outcome, for a human reader."""
        return f"{self.tool} {self.arguments[:LONGEST_SUMMARY]}: {'failed' if self.error else 'answered'}"


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _strings(each)
        case list():
            for each in value:
                yield from _strings(each)
