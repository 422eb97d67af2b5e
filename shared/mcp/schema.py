"""JSON Schemas of a server, made strict and safe to validate with.

References are never fetched, and patterns run in an engine with linear time.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Annotated, Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators
from jsonschema.protocols import Validator
from pydantic import StringConstraints, TypeAdapter
from pydantic import ValidationError as PatternMismatch
from pydantic_core import SchemaError as PatternError
from referencing import Registry
from referencing.exceptions import Unresolvable

from shared.mcp.text import clean, is_seen

LARGEST = 30_000
"""Characters of a schema. A larger one would take too much of every prompt."""

MOST_PROBLEMS = 5

_LONGEST_TEXT = 500
_DEEPEST = 40
_PROSE = frozenset({"description", "title", "$comment"})
_COMPOSING = frozenset({"allOf", "not", "if", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef"})
_ABOUT_OTHERS = frozenset({"additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames"})


class UnusableSchema(Exception):
    """A tool with this schema cannot be offered; the message gives the reason."""


def strict(schema: dict[str, Any], *, extra_arguments: bool) -> dict[str, Any]:
    """Return the schema as shown to the model: prose cleaned, undeclared keys rejected.

    Schemas composed with `allOf`, `if` and the like are closed at the top only. Raises UnusableSchema.
    """
    _check_size(schema)
    made: dict[str, Any] = _cleaned(schema, 0)
    if made.get("type", "object") != "object":
        raise UnusableSchema("its arguments are no object")
    made["type"] = "object"
    if not extra_arguments:
        _close(made, composed=_composes(made))
    validator_of(made)
    return made


def validator_of(schema: dict[str, Any]) -> Validator:
    """Return a validator of the schema. Raises UnusableSchema for an invalid schema or an external reference."""
    _check_size(schema)
    chosen = validators.validator_for(schema, default=Draft202012Validator)
    try:
        chosen.check_schema(schema)
        strictly = validators.extend(chosen, {"pattern": _pattern})  # type: ignore[no-untyped-call]
        made: Validator = strictly(schema, registry=Registry())
        next(made.iter_errors({}), None)
    except SchemaError as wrong:
        raise UnusableSchema(f"its schema is not valid: {clean(wrong.message, 200)}") from None
    except (Unresolvable, RecursionError) as wrong:
        raise UnusableSchema(f"its schema has a reference that leads nowhere: {type(wrong).__name__}") from None
    return made


def problems(validator: Validator, data: Any) -> list[str]:
    """Return a few faults of the data with their paths; empty if it is valid."""
    try:
        found = [_described(error) for error, _ in zip(validator.iter_errors(data), range(MOST_PROBLEMS), strict=False)]
    except (Unresolvable, RecursionError) as wrong:
        return [f"it cannot be checked: {type(wrong).__name__}"]
    return found


def _described(error: ValidationError) -> str:
    return f"{error.json_path}: {clean(error.message, 300)}"


def _check_size(schema: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(schema))
    except (RecursionError, ValueError, TypeError):
        raise UnusableSchema("its schema is nested too deeply") from None
    if size > LARGEST:
        raise UnusableSchema(f"its schema has {size:,} characters, more than {LARGEST:,}")


def _pattern(validator: Any, pattern: str, text: Any, schema: Any) -> Iterator[ValidationError]:
    """Check `pattern` without backtracking. Patterns that need it are left to the server."""
    if not isinstance(text, str):
        return
    try:
        _matching(pattern).validate_python(text)
    except PatternError:
        return
    except PatternMismatch:
        yield ValidationError(f"{text[:100]!r} does not match {pattern[:100]!r}")


@lru_cache(maxsize=256)
def _matching(pattern: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])


def _cleaned(schema: Any, depth: int) -> Any:
    """Return the schema with prose cleaned and cut. `patternProperties` may backtrack, so its object stays open."""
    if depth > _DEEPEST:
        raise UnusableSchema("its schema is nested too deeply")
    if isinstance(schema, list):
        return [_cleaned(each, depth + 1) for each in schema]
    if not isinstance(schema, dict):
        return _visible(schema)
    made = {_visible(key): _member(key, value, depth) for key, value in schema.items() if key != "patternProperties"}
    if isinstance(schema.get("patternProperties"), dict):
        made["additionalProperties"] = True
    if not str(made.get("$ref", "#")).startswith("#"):
        raise UnusableSchema("its schema refers to another document")
    return made


def _member(key: str, value: Any, depth: int) -> Any:
    if key in _PROSE and isinstance(value, str):
        return clean(value, _LONGEST_TEXT)
    return _cleaned(deepcopy(value), depth + 1)


def _visible(value: Any) -> Any:
    if isinstance(value, str) and not all(map(is_seen, value)):
        raise UnusableSchema("its schema has invisible characters")
    return value


def _composes(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_composes, schema))
    return isinstance(schema, dict) and (not _COMPOSING.isdisjoint(schema) or any(map(_composes, schema.values())))


def _close(schema: dict[str, Any], *, composed: bool) -> None:
    """Reject unnamed keys: always of the arguments, and of objects inside them unless schemas are composed."""
    if composed or not _ABOUT_OTHERS.isdisjoint(schema) or {"$ref", "anyOf", "oneOf"} & schema.keys():
        if _ABOUT_OTHERS.isdisjoint(schema):
            schema["unevaluatedProperties"] = False
    else:
        schema["additionalProperties"] = False
    if not composed:
        _close_inside(schema)


def _close_inside(schema: Any) -> None:
    if isinstance(schema, list):
        for each in schema:
            _close_inside(each)
    elif isinstance(schema, dict):
        plain = not {"anyOf", "oneOf", "$ref"} & schema.keys()
        if isinstance(schema.get("properties"), dict) and plain and _ABOUT_OTHERS.isdisjoint(schema):
            schema["additionalProperties"] = False
        for each in schema.values():
            _close_inside(each)
