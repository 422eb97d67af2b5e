"""Arguments of a tool in a readable form, from their JSON Schema: name, type, bounds, description.

The schema may come from anywhere: nothing of it is trusted to have the form that JSON Schema demands.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MOST_ROWS = 60
DEEPEST = 3
"""Levels of objects inside objects whose members have rows of their own."""

MOST_REFERENCES = 5
MOST_CHOICES = 12
_LONGEST_VALUE = 80
_LONGEST_TYPE = 600

_Schema = Mapping[str, Any]


class Argument(NamedTuple):
    """One row: an argument, or a member of one, such as `filter.city` and `items[].id`."""

    name: str
    type: str
    required: bool
    bounds: str
    description: str


def arguments_in(schema: _Schema) -> list[Argument]:
    """Return the arguments, each followed by its members; at most `MOST_ROWS`."""
    rows = _members(schema, schema, "", DEEPEST)
    return [row for row, _ in zip(rows, range(MOST_ROWS), strict=False)]


def _members(schema: _Schema, root: _Schema, prefix: str, depth: int) -> Iterator[Argument]:
    properties, required = _object(schema.get("properties")), _list(schema.get("required"))
    for key, given in properties.items():
        each = _resolved(given, root)
        name = f"{prefix}{key}"
        note = _object(given).get("description") or each.get("description")
        description = note if isinstance(note, str) else ""
        yield Argument(name, type_of(each, root), key in required, _bounds(each), " ".join(description.split()))
        if depth > 1:
            yield from _inside(each, root, name, depth)


def _inside(schema: _Schema, root: _Schema, name: str, depth: int) -> Iterator[Argument]:
    """Return the rows of an object's members, or of those of an array's items."""
    items = _resolved(schema.get("items"), root)
    if schema.get("properties"):
        yield from _members(schema, root, f"{name}.", depth - 1)
    elif items.get("properties"):
        yield from _members(items, root, f"{name}[].", depth - 1)


def type_of(schema: _Schema, root: _Schema, depth: int = DEEPEST) -> str:
    """Return the type in words, such as `array of string`, or `"asc" or "desc"`."""
    if "const" in schema:
        return _value(schema["const"])
    if choices := _list(schema.get("enum")):
        more = f" or {len(choices) - MOST_CHOICES} more" if len(choices) > MOST_CHOICES else ""
        return " or ".join(map(_value, choices[:MOST_CHOICES])) + more
    if variants := _list(schema.get("anyOf")) or _list(schema.get("oneOf")):
        return _any_of(variants, root, depth)
    kind = schema.get("type")
    names = " or ".join(str(each) for each in (kind if isinstance(kind, list) else [kind])[:MOST_CHOICES] if each)
    if names == "array" and depth:
        return f"array of {type_of(_resolved(schema.get('items'), root), root, depth - 1)}"[:_LONGEST_TYPE]
    return names[:_LONGEST_TYPE] or ("object" if schema.get("properties") else "any")


def _any_of(variants: list[Any], root: _Schema, depth: int) -> str:
    if not depth:
        return "any"
    found = [type_of(_resolved(each, root), root, depth - 1) for each in variants[:MOST_CHOICES]]
    return " or ".join(dict.fromkeys(found))[:_LONGEST_TYPE]


def _resolved(schema: Any, root: _Schema) -> _Schema:
    """Return the schema that a reference inside the document leads to, and of an optional value the value's."""
    found = _object(schema)
    for _ in range(MOST_REFERENCES):
        variants = [_object(each) for each in _list(found.get("anyOf")) if _object(each).get("type") != "null"]
        if isinstance(reference := found.get("$ref"), str):
            found = {**_target(reference, root), **{key: each for key, each in found.items() if key != "$ref"}}
        elif len(variants) == 1 and "$ref" in variants[0]:
            found = {**_target(str(variants[0]["$ref"]), root), **found}
            break
        elif len(variants) == 1:
            found = {**variants[0], **found}
            break
        else:
            break
    return found


def _target(reference: str, root: _Schema) -> _Schema:
    place: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        place = _object(place).get(part.replace("~1", "/").replace("~0", "~"))
    return _object(place)


_SIZES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)


def _bounds(schema: _Schema) -> str:
    found = [_between(schema.get(low), schema.get(high), unit) for low, high, unit in _SIZES]
    found += [f"more than {_value(schema['exclusiveMinimum'])}"] if "exclusiveMinimum" in schema else []
    found += [f"less than {_value(schema['exclusiveMaximum'])}"] if "exclusiveMaximum" in schema else []
    found += [f"{word} {_plain(schema[key])}" for key, word in _RULES.items() if key in schema]
    return "; ".join(filter(None, found))


_RULES = {"multipleOf": "multiple of", "format": "format", "pattern": "matches", "default": "default"}


def _between(low: Any, high: Any, unit: str) -> str:
    if low is not None and high is not None:
        return f"{_value(low)} to {_value(high)}{unit}"
    if low is not None:
        return f"at least {_value(low)}{unit}"
    return f"at most {_value(high)}{unit}" if high is not None else ""


def _plain(value: Any) -> str:
    return value[:_LONGEST_VALUE] if isinstance(value, str) and value else _value(value)


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _object(value: Any) -> _Schema:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
