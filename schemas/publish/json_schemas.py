"""One self-contained JSON Schema (draft 2020-12) for each message."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.message import Message
from schemas.registry import TOPICS
from schemas.task import Task

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_BEYOND_FIELDS: dict[str, dict[str, Any]] = {
    "Task": {
        "if": {"properties": {"shape": {"const": "single"}}, "required": ["shape"]},
        "then": {"properties": {"agent": {"type": "string"}}, "required": ["agent"]},
        "else": {"properties": {"agent": {"type": "null"}}},
    },
    "TaskContext": {"$comment": "Attachments need distinct names."},
    "Attachment": {
        "not": {"properties": {"name": {"enum": [".", ".."]}}, "required": ["name"]},
        "oneOf": [
            {"properties": {"text": {"type": "string"}, "uri": {"type": "null"}}, "required": ["text"]},
            {
                "properties": {"text": {"type": "null"}, "uri": {"type": "string", "pattern": "^(blob:|https?://)"}},
                "required": ["uri"],
            },
        ],
    },
}
"""Conditions over several fields from the models' validators, which pydantic cannot derive."""


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, plus defaults made by a factory and the rule that stripped text must not be blank."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: a title would only repeat the field's name."""
        del schema
        return False

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """Return the default, also if a factory makes it."""
        factory: Any = schema.get("default_factory")
        return factory() if factory is not None else super().get_default_value(schema)

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Require a non-space character in text that is stripped before it is measured."""
        found = super().str_schema(schema)
        if schema.get("strip_whitespace") and schema.get("min_length"):
            found.setdefault("pattern", r"\S")
        return found


def schema_of(kind: type[Message]) -> dict[str, Any]:
    """Return the schema that a reader of this message accepts. `$id` is `urn:waggle:schema:<wire type>`."""
    body = kind.model_json_schema(schema_generator=_Generator)
    for name, part in [(kind.__name__, body), *body.get("$defs", {}).items()]:
        part.update(_BEYOND_FIELDS.get(name, {}))
        if kind is not Task and part.get("additionalProperties") is False:
            del part["additionalProperties"]  # only an incoming task is read strictly
    return {"$schema": DIALECT, "$id": f"urn:waggle:schema:{kind.wire_type()}", **body}


def file_of(kind: type[Message]) -> str:
    """Return the name of this message's schema file."""
    return f"{kind.wire_type()}.json"


def message_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of all messages, by file name."""
    return {file_of(kind): schema_of(kind) for kind in TOPICS}
