"""Conversion of MCP servers' schemas and texts."""

import pytest

from shared.mcp.declare import Declared
from shared.mcp.schema import LARGEST, UnusableSchema, problems, strict, validator_of
from shared.mcp.text import clean, clean_data
from shared.mcp.tools import LONGEST_NAME, name_of
from shared.tools import Effect, Risk

ADDRESS = {"type": "object", "properties": {"city": {"type": "string"}}}


def wrong(schema, data, *, extra_arguments=False):
    return problems(validator_of(strict(schema, extra_arguments=extra_arguments)), data)


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    [
        ({"type": "object"}, {}, {"a": 1}),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}, {"a": 1, "b": 2}),
        ({"type": "object", "properties": {"to": ADDRESS}}, {"to": {"city": "x"}}, {"to": {"city": "x", "b": 2}}),
        ({"type": "object", "properties": {"to": {"type": "object"}}}, {"to": {"free": 1}}, {"other": 1}),
        (
            {"type": "object", "properties": {"to": {"$ref": "#/$defs/A"}}, "$defs": {"A": ADDRESS}},
            {"to": {"city": "x"}},
            {"to": {"city": "x", "b": 2}},
        ),
        (
            {"type": "object", "properties": {"to": {"anyOf": [ADDRESS, {"type": "null"}]}}},
            {"to": None},
            {"to": {"b": 2}},
        ),
        ({"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]}, {"a": 1}, {"c": 1}),
        ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, {"a": 1, "b": 2}, {"c": 1}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"any": 1}, {"any": "x"}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {}}}, {"a": 1}, {"b": 1}),
    ],
)
def test_keys_that_a_schema_does_not_name_are_refused_where_it_says_nothing_of_them(schema, fits, does_not):
    assert wrong(schema, fits) == []
    assert wrong(schema, does_not) != []


def test_keys_that_a_schema_does_not_name_pass_where_the_operator_says_so():
    assert wrong({"properties": {"a": {"type": "integer"}}}, {"a": 1, "b": 2}, extra_arguments=True) == []


def nested(depth):
    return {"type": "object", "properties": {"a": nested(depth - 1)}} if depth else {}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "no such type"},
        {"properties": {"a": {"$ref": "http://example.com/a.json"}}},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "#"},
        {"properties": {"a\u200b": {}}},
        {"properties": {"a": {"enum": ["x\u202ey"]}}},
        {"description": "x", "properties": {f"a{number}": {"type": "string"} for number in range(LARGEST // 20)}},
        nested(50),
    ],
)
def test_a_schema_that_cannot_be_used_safely_is_refused(schema):
    with pytest.raises(UnusableSchema):
        strict(schema, extra_arguments=False)


def test_descriptions_in_a_schema_are_cleaned_and_cut():
    made = strict({"properties": {"a": {"description": "see\u200b" + "x" * 5_000}}}, extra_arguments=False)
    said = made["properties"]["a"]["description"]
    assert said.startswith("seexxx")
    assert len(said) < 600


def test_a_pattern_is_checked_in_linear_time_and_one_that_needs_backtracking_is_left_to_the_server():
    assert wrong({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}, {"a": "a" * 50_000 + "!"}) != []
    assert wrong({"properties": {"a": {"type": "string", "pattern": "^(?=a)b"}}}, {"a": "c"}) == []


def test_a_text_keeps_what_is_read_and_loses_what_is_not():
    assert clean("Grüße, 東京 🙂\n\tok", 100) == "Grüße, 東京 🙂\n\tok"
    assert clean("a\u200bb\u202ec\U000e0041d\x1b[31me\x00\ufe0f", 100) == "abcd[31me"
    assert clean_data({"k\u200b": ["v\u2066", 1, None]}, 100) == {"k": ["v", 1, None]}


def test_names_fit_a_model_endpoint_and_stay_apart():
    names = {name_of("s", each) for each in ("a.b", "a/b", "a_b", "x" * 100, "x" * 101)}
    assert len(names) == 5
    assert all(len(each) <= LONGEST_NAME and each.replace("_", "").isalnum() for each in names)
    assert name_of("files", "read-file") == "files__read-file"


def test_an_entry_for_a_tool_overrides_that_of_its_server_and_both_override_the_worst_case():
    declared = Declared.model_validate(
        {"command": "x", "agents": ["a"], "risk": "medium", "tools": {"t": {"effect": "read"}}}
    )
    told, other = declared.terms_of("t"), declared.terms_of("u")
    assert (told.risk, told.effect) == (Risk.MEDIUM, Effect.READ)
    assert (other.risk, other.effect, other.timeout, other.tenants) == (Risk.MEDIUM, Effect.IRREVERSIBLE, 30, ("*",))
