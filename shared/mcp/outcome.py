"""What comes of a call: what the agent is shown of a result, and what an error means."""

import json
from typing import Any

from jsonschema.protocols import Validator
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    REQUEST_TIMEOUT,
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from shared.mcp.schema import problems
from shared.mcp.text import clean, clean_data
from shared.tools import OUTCOME_UNKNOWN, WITHOUT_IT, Effect, ToolError
from shared.tools.call import TOOL_ERROR

LARGEST_TEXT = 40_000
"""Characters of a result that are shown."""

LARGEST_ERROR = 1_000

_REPEATABLE = frozenset({Effect.READ, Effect.IDEMPOTENT})

_NOT_DONE = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH})
"""Errors after which nothing has happened. Others can come when something has."""


def shown(source: str, effect: Effect, result: CallToolResult, output: Validator | None) -> dict[str, Any]:
    """What the agent is shown of a result: where it is from, and `data` or `text`.

    Raises ToolError `tool_error` for a result that is an error; for one that is not what was declared `invalid_output`,
    or, of a call that must not be repeated, `outcome_unknown`.
    """
    text, left_out = _text(result.content)
    if result.is_error:
        said = clean(text, LARGEST_ERROR) or "it failed"
        action = f"call it otherwise if that tells how, or {WITHOUT_IT}"
        raise ToolError(TOOL_ERROR, f"{source} says: {said}", suggested_action=action)
    if output is None and result.structured_content is None:
        return {"source": source, "text": clean(text, LARGEST_TEXT)} | ({"left_out": left_out} if left_out else {})
    try:
        return {"source": source} | _data(result.structured_content, output)
    except ValueError as wrong:
        message = f"{source} has answered with what it does not declare: {wrong}"
        broken = ToolError("invalid_output", message, suggested_action=WITHOUT_IT)
        raise (broken if effect in _REPEATABLE else _unknown(message)) from None


def _data(data: Any, output: Validator | None) -> dict[str, Any]:
    """The data of a result; as text, and cut, when there is too much. Raises ValueError for what does not fit."""
    if output is not None and (wrong := problems(output, data)):
        raise ValueError("; ".join(wrong))
    cleaned = clean_data(data, LARGEST_TEXT)
    said = json.dumps(cleaned, ensure_ascii=False)
    return {"data": cleaned} if len(said) <= LARGEST_TEXT else {"text": clean(said, LARGEST_TEXT)}


def _text(content: list[ContentBlock]) -> tuple[str, list[str]]:
    """The text of a result, and what of it is no text."""
    texts: list[str] = []
    others: list[str] = []
    for each in content:
        match each:
            case TextContent(text=text) | EmbeddedResource(resource=TextResourceContents(text=text)):
                texts.append(text)
            case ResourceLink(uri=uri):
                texts.append(clean(str(uri), 500))
            case ImageContent(mime_type=kind) | AudioContent(mime_type=kind):
                others.append(clean(f"{each.type} {kind}", 100))
            case _:
                others.append(each.type)
    return "\n".join(texts), others


def failure(tool: str, effect: Effect, error: Exception) -> ToolError:
    """What an error means for a call that was sent. Of one that must not be repeated it may be that nobody knows."""
    code = error.code if isinstance(error, MCPError) else None
    said = clean(str(error), LARGEST_ERROR) if isinstance(error, MCPError) else "its answer cannot be read"
    if code in _NOT_DONE:
        action = f"call it otherwise if that tells how, or {WITHOUT_IT}"
        return ToolError("refused_by_server", f"{tool} was refused by its server: {said}", suggested_action=action)
    if effect not in _REPEATABLE:
        return _unknown(f"{tool}: {said}")
    if code == REQUEST_TIMEOUT:
        return _passing("timeout", f"{tool} took too long")
    if code == CONNECTION_CLOSED:
        return _passing("server_lost", f"the server of {tool} went away before it answered")
    return ToolError("tool_failed", f"{tool}: {said}", suggested_action=WITHOUT_IT)


def _passing(code: str, message: str) -> ToolError:
    return ToolError(code, message, retryable=True, suggested_action=f"try again later in this step, or {WITHOUT_IT}")


def _unknown(message: str) -> ToolError:
    return ToolError(OUTCOME_UNKNOWN, message, suggested_action="it may have happened: do not call it again")
