"""Values that fit a JSON Schema."""

import re
from collections.abc import Mapping
from typing import Any


def fitting(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Return the smallest value that fits a JSON Schema; texts say that they are simulated."""
    if "$ref" in schema:
        return fitting(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return fitting(schema[name][0], root)
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    return _plain(schema, root)


def _plain(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    match schema.get("type"):
        case "object":
            return {name: fitting(part, root) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [fitting(schema.get("items", {}), root)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "simulated"


def filled(schema: Mapping[str, Any], known: Mapping[str, Any], *, text: str, objective: str) -> dict[str, Any]:
    """Return an object that fits the schema: known fields, enumerated values the objective names, and the text once.

    The text goes to the first other field that holds one; the rest is `fitting`.
    """
    values: dict[str, Any] = {}
    for name, part in schema.get("properties", {}).items():
        plain = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part
        if name in known:
            values[name] = known[name]
        elif "enum" in plain:
            values[name] = named_in(objective, plain["enum"]) or plain["enum"][0]
        elif plain.get("type") == "string" and text not in values.values():
            values[name] = text
        else:
            values[name] = fitting(part, dict(schema))
    return values


def named_in(objective: str, options: list[Any]) -> Any:
    """Return the first option that the objective names as a word; None if it names none."""
    return next((o for o in options if re.search(rf"\b{re.escape(str(o))}\b", objective, re.IGNORECASE)), None)
