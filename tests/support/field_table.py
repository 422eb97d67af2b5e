"""The table of a message's fields for the documentation, made from its schema."""

import json


def field_table(schema, root):
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        required = name in schema.get("required", [])
        meaning = _meaning(field, root).partition("\n")[0]
        lines.append(f"| `{name}` | {_type(field, root)} | {'required' if required else _default(field)} | {meaning} |")
    return "\n".join(lines)


def _meaning(field, root):
    described = [field, _target(field, root), _target(field.get("items", {}), root)]
    return next((each["description"] for each in described if "description" in each), "")


def _target(field, root):
    return root["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field


def _default(field):
    if isinstance(field["default"], dict) and field["default"]:
        return "its defaults"
    return "none" if field["default"] is None else _code(field["default"])


def _code(value):
    return f"`{json.dumps(value)}`"


def _type(field, root):
    if "anyOf" in field:
        return " or ".join(_type(each, root) for each in field["anyOf"] if each.get("type") != "null")
    target = _target(field, root)
    if "enum" in target:
        return ", ".join(_code(value) for value in target["enum"])
    if target["type"] == "array":
        return f"list of {_type(target['items'], root)}{_limits(target)}"
    if "$ref" in field:
        return f"object `{field['$ref'].rpartition('/')[2]}`"
    return f"{_kind(target)}{_limits(target)}"


def _kind(target):
    if target.get("format") == "date-time":
        return "RFC 3339 time with an offset"
    if target.get("pattern", r"\S") != r"\S":
        return f"text like `{target['pattern']}`"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(target["type"], target["type"])


def _limits(target):
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "maxLength": "at most",
        "maxItems": "at most",
    }
    units = {"maxLength": " characters"}
    return "".join(f", {words[key]} {target[key]:,}{units.get(key, '')}" for key in words if key in target)
