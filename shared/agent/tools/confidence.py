"""A model's own confidence in one call: an argument that the runtime adds to risky tools, and takes out before a call.

The tool never receives it, and no digest covers it: calls that differ in nothing else are equal.
"""

import json
from typing import Any, NamedTuple

from schemas.error import INVALID_ARGUMENTS
from schemas.plan import Risk
from shared.llm import ToolRequest
from shared.tools import Tool, ToolError

CONFIDENCE = "_confidence"
"""Name of the argument. No function can declare it, since fields of pydantic models cannot begin with `_`."""

_SCHEMA = {
    "type": "number",
    "minimum": 0,
    "maximum": 1,
    "description": "Your confidence, 0 to 1, that this very call is right and wanted. A person may see it.",
}
_RISKY = frozenset({Risk.HIGH, Risk.CRITICAL})


class StatedCall(NamedTuple):
    """A requested call without the confidence that the model stated in it."""

    request: ToolRequest
    arguments: dict[str, Any]
    confidence: float | None


def schema_of(tool: Tool, risk: Risk) -> dict[str, Any]:
    """Return the schema of the tool's arguments as shown to the model. `risk`: as configured by the operator."""
    schema = tool.schema
    if not _states_confidence(tool, risk, schema):
        return schema
    return schema | {"properties": {**schema.get("properties", {}), CONFIDENCE: _SCHEMA}}


def stated(tool: Tool, risk: Risk, request: ToolRequest, arguments: dict[str, Any]) -> StatedCall:
    """Split the confidence off a call. Raises ToolError `invalid_arguments` for one that is no number from 0 to 1."""
    if CONFIDENCE not in arguments or not _states_confidence(tool, risk, tool.schema):
        return StatedCall(request, arguments, None)
    rest = {name: value for name, value in arguments.items() if name != CONFIDENCE}
    value = arguments[CONFIDENCE]
    if isinstance(value, bool) or not isinstance(value, int | float | None) or not 0 <= (value or 0) <= 1:
        message = f"{CONFIDENCE} of {tool.name} is no number from 0 to 1"
        raise ToolError(INVALID_ARGUMENTS, message, suggested_action="call it again with one, or leave it out")
    text = json.dumps(rest, ensure_ascii=False)
    return StatedCall(request.model_copy(update={"arguments": text}), rest, None if value is None else float(value))


def _states_confidence(tool: Tool, risk: Risk, schema: dict[str, Any]) -> bool:
    """Return True for a tool that is hard to undo or risky, and has no argument of that name itself."""
    own = CONFIDENCE in schema.get("properties", {})
    return (tool.must_not_repeat or risk in _RISKY) and not own
