"""The published schemas, read as other teams do: with any JSON Schema validator, formats checked."""

import json
from datetime import datetime
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

PUBLISHED = Path(__file__).parents[2] / "schemas" / "published"

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_moment(value):
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def published(wire_type):
    return json.loads((PUBLISHED / f"{wire_type}.json").read_text())


def validator(schema):
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=_formats)
