"""JSON Schema of a pydantic model in the form strict structured output requires."""

from typing import Any

from pydantic import BaseModel

_UNSUPPORTED = ("default", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "title")
"""Keywords some providers reject in strict structured output; pydantic enforces them when the reply is parsed."""


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema with all properties required, no others allowed, and unsupported keywords removed."""
    schema: dict[str, Any] = _strict(model.model_json_schema())
    return schema


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "properties" not in node:
        return {key: _strict(value) for key, value in node.items() if key not in _UNSUPPORTED}
    kept = {key: value for key, value in node.items() if key not in _UNSUPPORTED and key != "properties"}
    properties = {name: _strict(value) for name, value in node["properties"].items()}
    return _strict(kept) | {"properties": properties, "required": list(properties), "additionalProperties": False}
