"""Schemas of arguments as cards announce them: whole where they are small, else cut by a fixed rule and marked."""

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from schemas.plan import ArgumentSchema

LARGEST_SCHEMA = 4_000
"""Characters of one schema, as JSON."""

LARGEST_CARD = 100_000
"""Characters of all schemas of one card, which share them equally."""

LONGEST_NAME = 200
"""Characters of an argument's name; arguments with longer ones are left out of a cut schema."""

_PROSE = frozenset({"description", "title", "examples", "default", "$comment"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values map names, which may equal keywords, to schemas."""

_VALUES = frozenset({"enum", "const", "required"})
_BOUNDS = (
    *("type", "enum", "const", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems"),
)
_LARGEST_BOUND = 200

_made: WeakKeyDictionary[type[BaseModel], dict[int, ArgumentSchema]] = WeakKeyDictionary()


def share_of(tools: int) -> int:
    """Return the characters that each of so many tools has for its schema."""
    return min(LARGEST_SCHEMA, LARGEST_CARD // max(1, tools))


def announced_schema(arguments: type[BaseModel], largest: int = LARGEST_SCHEMA) -> ArgumentSchema:
    """Return the schema of these arguments within so many characters. Read once per type, since it takes milliseconds.

    Cut in this order: its prose; all but names, types and bounds of the arguments; the last arguments.
    """
    made = _made.setdefault(arguments, {})
    if largest not in made:
        made[largest] = _cut(arguments.model_json_schema(), largest)
    return made[largest]


def _cut(schema: dict[str, Any], largest: int) -> ArgumentSchema:
    try:
        if _size(schema) <= largest:
            return ArgumentSchema(content=schema)
        bare = _without_prose(schema)
        return ArgumentSchema(content=bare, cut="prose") if _size(bare) <= largest else _flat(bare, largest)
    except (ValueError, RecursionError):  # a server's schema may hold what no message can carry
        return ArgumentSchema(content={"type": "object"}, cut="nested", left_out=len(_properties(schema)))


def _size(value: Any) -> int:
    return len(json.dumps(value, allow_nan=False))


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_prose(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _bare(key, value) for key, value in schema.items() if key not in _PROSE}


def _bare(key: str, value: Any) -> Any:
    if key in _VALUES:
        return value
    if key in _NAMED and isinstance(value, dict):
        return {name: _without_prose(each) for name, each in value.items()}
    return _without_prose(value)


def _flat(schema: dict[str, Any], largest: int) -> ArgumentSchema:
    """Return the arguments by name, type and bounds, as many as fit."""
    properties, demanded = _properties(schema), schema.get("required")
    required = demanded if isinstance(demanded, list) else []
    kept: dict[str, Any] = {}
    content: dict[str, Any] = {"type": "object", "properties": kept, "required": []}
    room = largest - _size(content)
    for name, each in properties.items():
        bounds, needed = _bounds_of(each), name in required
        room -= _size({name: bounds}) + (_size(name) + 2 if needed else 0)
        if room < 0:
            break
        if len(name) <= LONGEST_NAME:
            kept[name] = bounds
            content["required"] += [name] if needed else []
    return ArgumentSchema(content=content, cut="nested", left_out=len(properties) - len(kept))


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _bounds_of(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        return {}
    return {key: schema[key] for key in _BOUNDS if key in schema and _size(schema[key]) <= _LARGEST_BOUND}
