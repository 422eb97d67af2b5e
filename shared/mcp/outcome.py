"""Outcome of a call: the result as shown to the agent, and the meaning of an error."""

import json
from typing import Any

from jsonschema.protocols import Validator
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
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

from schemas.error import TOOL_ERROR
from shared.mcp.schema import problems
from shared.mcp.text import clean, clean_data
from shared.tools import OUTCOME_UNKNOWN, WITHOUT_IT, Effect, ToolError

LARGEST_TEXT = 40_000
"""Characters of a result shown to the agent."""

LARGEST_ERROR = 1_000

_CORRECT_IT = f"correct the call if the message explains how, or {WITHOUT_IT}"

_REPEATABLE = frozenset({Effect.READ, Effect.IDEMPOTENT})

_NOT_DONE = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY})
"""Errors that mean the call had no effect. Any other error may follow an effect."""


def shown(source: str, effect: Effect, result: CallToolResult, output: Validator | None) -> dict[str, Any]:
    """Return a result as shown to the agent: its source, and `data` or `text`.

    Raises ToolError `tool_error` for an error result; for one that violates the declared schema `invalid_output`, or
    `outcome_unknown` if the call must not be repeated.
    """
    text, left_out = _text(result.content)
    if result.is_error:
        message = clean(text, LARGEST_ERROR) or "it failed"
        raise ToolError(TOOL_ERROR, f"{source} says: {message}", suggested_action=_CORRECT_IT)
    if output is None and result.structured_content is None:
        return {"source": source, "text": clean(text, LARGEST_TEXT)} | ({"left_out": left_out} if left_out else {})
    try:
        return {"source": source} | _data(result.structured_content, output)
    except ValueError as wrong:
        message = f"{source} returned a result that violates its declared schema: {wrong}"
        broken = ToolError("invalid_output", message, suggested_action=WITHOUT_IT)
        raise (broken if effect in _REPEATABLE else _unknown(message)) from None


def _data(data: Any, output: Validator | None) -> dict[str, Any]:
    """Return the data of a result, as truncated text if it is too long. Raises ValueError if it is invalid."""
    if output is not None and (wrong := problems(output, data)):
        raise ValueError("; ".join(wrong))
    cleaned = clean_data(data, LARGEST_TEXT)
    text = json.dumps(cleaned, ensure_ascii=False)
    return {"data": cleaned} if len(text) <= LARGEST_TEXT else {"text": clean(text, LARGEST_TEXT)}


def _text(content: list[ContentBlock]) -> tuple[str, list[str]]:
    """Return the text of a result, and the kinds of its other parts."""
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
    """Convert the error of a call that was sent; `outcome_unknown` if it must not be repeated and may have happened."""
    code = error.code if isinstance(error, MCPError) else None
    message = clean(str(error), LARGEST_ERROR) if isinstance(error, MCPError) else "its answer cannot be read"
    if code in _NOT_DONE:
        rejection = f"{tool} was rejected by its server: {message}"
        return ToolError("refused_by_server", rejection, suggested_action=_CORRECT_IT)
    if effect not in _REPEATABLE:
        return _unknown(f"{tool}: {message}")
    if code == REQUEST_TIMEOUT:
        return _retryable("timeout", f"{tool} took too long")
    if code == CONNECTION_CLOSED:
        return _retryable("server_lost", f"the server of {tool} was lost before it answered")
    return ToolError("tool_failed", f"{tool}: {message}", suggested_action=WITHOUT_IT)


def _retryable(code: str, message: str) -> ToolError:
    return ToolError(code, message, retryable=True, suggested_action=f"retry later in this step, or {WITHOUT_IT}")


def _unknown(message: str) -> ToolError:
    return ToolError(OUTCOME_UNKNOWN, message, suggested_action="it may have taken effect: do not repeat it")
