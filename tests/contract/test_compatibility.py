"""Every kind of breaking change is found and named; harmless ones pass."""

from copy import deepcopy

import pytest

from schemas.publish.compatibility import breaks, set_breaks
from schemas.publish.json_schemas import message_schemas

OLD = {
    "$id": "urn:waggle:schema:waggle.dance.v1",
    "type": "object",
    "description": "A message with one of everything.",
    "$defs": {
        "Mood": {"type": "string", "enum": ["calm", "busy"]},
        "Limits": {"type": "object", "properties": {"tokens": {"type": "integer", "minimum": 0, "maximum": 9}}},
        "Strict": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
        "Tree": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}}},
    },
    "properties": {
        "id": {"type": "string", "pattern": "^a+$", "minLength": 1, "maxLength": 5},
        "note": {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}], "default": None},
        "mood": {"$ref": "#/$defs/Mood", "default": "calm"},
        "limits": {"$ref": "#/$defs/Limits"},
        "strict": {"$ref": "#/$defs/Strict"},
        "tree": {"$ref": "#/$defs/Tree"},
        "share": {"type": "number", "exclusiveMinimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "data": {"type": "object", "additionalProperties": {"type": "integer"}},
        "kind": {"const": "waggle"},
    },
    "required": ["id"],
}
NEW_OF_OLD, OLD_OF_NEW = "a new consumer cannot read old messages", "an old consumer cannot read new messages"


def changed(path, value):
    """The old schema with the value at a path replaced; a value of None removes it."""
    new = deepcopy(OLD)
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place = new
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new


BREAKING_OLD_MESSAGES = {
    "a field is removed": ("properties/note", None, "`note` was removed"),
    "a nested field is removed": ("$defs/Limits/properties", {"calls": {}}, "`limits.tokens` was removed"),
    "a field of a closed object is removed": (
        "$defs/Strict",
        {"type": "object", "additionalProperties": False, "properties": {}},
        "`strict.name` is unknown",
    ),
    "a field is retyped": (
        "properties/share",
        {"type": "string"},
        "`share` must be string, but may be integer or number",
    ),
    "a number becomes whole": (
        "properties/share",
        {"type": "integer", "exclusiveMinimum": 0},
        "`share` must be integer, but may be integer or number",
    ),
    "a free value gets a type": ("properties/kind", {"type": "integer"}, "`kind` must be integer, but may be anything"),
    "null is taken no longer": (
        "properties/note",
        {"type": "string", "maxLength": 10},
        "`note` must be string, but may",
    ),
    "one of two types goes": (
        "properties/note/anyOf",
        [{"type": "null"}, {"type": "integer"}],
        "`note` may be string, which is not accepted",
    ),
    "an alternative goes": ("properties/note/anyOf/0", None, "`note` must be null, but may be string"),
    "an alternative gets narrower": ("properties/note/anyOf/0/maxLength", 9, "`note` is accepted with maxLength 9"),
    "a field becomes required": ("required", ["id", "mood"], "`mood` is required, but may be absent"),
    "a required field is new": ("required", ["id", "later"], "`later` is required, but may be absent"),
    "a minimum rises": (
        "$defs/Limits/properties/tokens/minimum",
        1,
        "`limits.tokens` is accepted with minimum 1, but",
    ),
    "a maximum falls": (
        "$defs/Limits/properties/tokens/maximum",
        8,
        "`limits.tokens` is accepted with maximum 8, but",
    ),
    "a minimum becomes exclusive": (
        "$defs/Limits/properties/tokens",
        {"type": "integer", "exclusiveMinimum": 0, "maximum": 9},
        "`limits.tokens` is accepted with minimum 0",
    ),
    "a limit is new": (
        "properties/share/maximum",
        1,
        "`share` is accepted with maximum 1, but is written without maximum",
    ),
    "a text must be shorter": ("properties/id/maxLength", 4, "`id` is accepted with maxLength 4"),
    "a text must be longer": ("properties/id/minLength", 2, "`id` is accepted with minLength 2"),
    "a list must be shorter": ("properties/tags/maxItems", 2, "`tags` is accepted with maxItems 2"),
    "a list must not be empty": ("properties/tags/minItems", 1, "`tags` is accepted with minItems 1"),
    "items are retyped": ("properties/tags/items", {"type": "integer"}, "`tags.[]` must be integer"),
    "an enum loses a value": ("$defs/Mood/enum", ["calm"], "`mood` may be 'busy', which is not among ['calm']"),
    "a text becomes an enum": ("properties/id/enum", ["aa"], "`id` must be one of ['aa'], but may be anything"),
    "a constant changes": ("properties/kind/const", "round", "`kind` may be 'waggle', which is not among ['round']"),
    "a pattern changes": ("properties/id/pattern", "^b+$", "`id` has a different `pattern`"),
    "a pattern is new": ("properties/tags/items/pattern", "^b+$", "`tags.[]` has a different `pattern`"),
    "a format is new": ("properties/tags/items/format", "date-time", "`tags.[]` has a different `format`"),
    "an unknown keyword is new": (
        "dependentRequired",
        {"id": ["note"]},
        "`the message` has a different `dependentRequired`",
    ),
    "an object closes": ("additionalProperties", False, "`the message` accepts no unknown fields, but may hold some"),
    "the values of a mapping are retyped": (
        "properties/data/additionalProperties",
        {"type": "string"},
        "`data.*` must be string",
    ),
    "a recursive part is retyped": (
        "$defs/Tree/properties/next",
        {"$ref": "#/$defs/Tree"},
        "`tree.next` must be object, but may be null",
    ),
}

BREAKING_OLD_CONSUMERS = {
    "a field is retyped": (
        "properties/share",
        {"type": "string"},
        "`share` must be integer or number, but may be string",
    ),
    "a whole number may be broken": (
        "$defs/Limits/properties/tokens/type",
        "number",
        "`limits.tokens` must be integer, but may be integer or number",
    ),
    "a required field becomes optional": ("required", [], "`id` is required, but may be absent"),
    "a field may be null": (
        "properties/id",
        {"anyOf": [OLD["properties"]["id"], {"type": "null"}]},
        "`id` must be string, but may be null",
    ),
    "an alternative gets wider": ("properties/note/anyOf/0/maxLength", 11, "`note` is accepted with maxLength 10"),
    "an enum gains a value": ("$defs/Mood/enum", ["calm", "busy", "wild"], "`mood` may be 'wild', which is not among"),
    "an enum becomes free": ("$defs/Mood/enum", None, "`mood` must be one of ['calm', 'busy'], but may be anything"),
    "a minimum falls": ("$defs/Limits/properties/tokens/minimum", -1, "`limits.tokens` is accepted with minimum 0"),
    "a maximum rises": ("$defs/Limits/properties/tokens/maximum", 10, "`limits.tokens` is accepted with maximum 9"),
    "a limit goes": ("properties/share/exclusiveMinimum", None, "`share` is accepted with minimum 0"),
    "a list may be longer": (
        "properties/tags/maxItems",
        None,
        "`tags` is accepted with maxItems 3, but is written without",
    ),
    "a pattern goes": ("properties/id/pattern", None, "`id` has a different `pattern`"),
    "a closed object gains a field": (
        "$defs/Strict/properties",
        {"name": {"type": "string"}, "age": {"type": "integer"}},
        "`strict.age` is unknown, and unknown fields are rejected",
    ),
    "a closed object opens": ("$defs/Strict/additionalProperties", None, "`strict` accepts no unknown fields"),
    "items are free": ("properties/tags/items", None, "`tags.[]` must be string, but may be anything"),
}

HARMLESS = {
    "a number gets its first bound, far out": ("properties/share/maximum", 1_000_000),
    "a number gets its first lower bound": ("properties/data/additionalProperties/minimum", 0),
    "nothing": ("type", "object"),
    "an optional field is new": ("properties/later", {"type": "string", "default": ""}),
    "a nested optional field is new": ("$defs/Limits/properties/calls", {"type": "integer"}),
    "a description changes": ("description", "Better words."),
    "a default changes": ("properties/mood/default", "busy"),
    "the order of an enum changes": ("$defs/Mood/enum", ["busy", "calm"]),
    "the order of alternatives changes": (
        "properties/note/anyOf",
        [{"type": "null"}, {"type": "string", "maxLength": 10}],
    ),
    "a reference is written out": ("properties/mood", {"type": "string", "enum": ["calm", "busy"]}),
    "a constant is written as an enum": ("properties/kind", {"enum": ["waggle"]}),
}


@pytest.mark.parametrize(("path", "value", "said"), BREAKING_OLD_MESSAGES.values(), ids=BREAKING_OLD_MESSAGES)
def test_changes_that_keep_a_new_consumer_from_reading_old_messages_are_named_with_their_field(path, value, said):
    new = changed(path, value)
    for readers_first in (False, True):
        found = breaks(OLD, new, readers_first=readers_first)
        assert any(each.startswith(f"{NEW_OF_OLD}: {said}") for each in found), found


@pytest.mark.parametrize(("path", "value", "said"), BREAKING_OLD_CONSUMERS.values(), ids=BREAKING_OLD_CONSUMERS)
def test_changes_that_keep_an_old_consumer_from_reading_new_messages_are_named_with_their_field(path, value, said):
    new = changed(path, value)
    found = breaks(OLD, new)
    assert any(each.startswith(f"{OLD_OF_NEW}: {said}") for each in found), found
    assert not any(each.startswith(OLD_OF_NEW) for each in breaks(OLD, new, readers_first=True))


@pytest.mark.parametrize(("path", "value"), HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_change_passes(path, value):
    assert breaks(OLD, changed(path, value)) == []


def test_no_schema_breaks_itself():
    for name, schema in message_schemas().items():
        assert breaks(schema, schema) == [], name


def test_a_task_and_its_copies_in_other_messages_may_gain_an_optional_field():
    old = message_schemas()
    new = deepcopy(old)
    new["waggle.task.v1.json"]["properties"]["colour"] = {"type": "string", "default": ""}
    new["waggle.do-step.v1.json"]["$defs"]["TaskContext"]["properties"]["colour"] = {"type": "string", "default": ""}
    assert set_breaks(old, new, frozenset({"waggle.task.v1.json"})) == []


def test_a_message_that_is_gone_is_named_and_a_new_one_passes():
    assert set_breaks({"waggle.dance.v1.json": OLD}, {"waggle.dance.v2.json": OLD}, frozenset()) == [
        "waggle.dance.v1.json: the message was removed; keep its version while it may be sent"
    ]


def test_a_condition_that_refers_elsewhere_is_never_taken_for_harmless():
    condition = {"allOf": [{"$ref": "#/$defs/Mood"}]}
    assert any("`allOf`" in each for each in breaks({**OLD, **condition}, {**OLD, **condition}))
