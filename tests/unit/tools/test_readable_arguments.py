"""Arguments of tools in words, from schemas of any form."""

import pytest

from schemas.arguments import MOST_ROWS, arguments_in


def rows(properties, **more):
    return [tuple(each) for each in arguments_in({"type": "object", "properties": properties, **more})]


@pytest.mark.parametrize(
    ("schema", "type", "bounds"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 9}, "string", "1 to 9 characters"),
        ({"type": "integer", "minimum": 0}, "integer", "at least 0"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "number", "more than 0; less than 1"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 5}, "array of string", "at most 5 items"),
        ({"enum": ["asc", "desc"]}, '"asc" or "desc"', ""),
        ({"const": 3}, "3", ""),
        ({"type": ["string", "null"], "default": None}, "string or null", "default null"),
        ({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "null"}]}, "integer or null", "at most 3"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "string or integer", ""),
        ({"type": "string", "pattern": "^a$", "format": "uri"}, "string", "format uri; matches ^a$"),
        ({"$ref": "#/$defs/Level"}, '"low" or "high"', ""),
        ({}, "any", ""),
        (True, "any", ""),
    ],
)
def test_types_and_bounds_have_words(schema, type, bounds):
    [row] = rows({"a": schema}, **{"$defs": {"Level": {"enum": ["low", "high"]}}})
    assert row == ("a", type, False, bounds, "")


def test_members_of_objects_and_of_items_have_rows_below_their_argument():
    city = {
        "type": "object",
        "properties": {"name": {"type": "string", "description": "Its\n name."}},
        "required": ["name"],
    }
    found = rows({"at": {"$ref": "#/$defs/City"}, "all": {"type": "array", "items": city}}, **{"$defs": {"City": city}})
    assert [(name, type, required) for name, type, required, *_ in found] == [
        ("at", "object", False),
        ("at.name", "string", True),
        ("all", "array of object", False),
        ("all[].name", "string", True),
    ]
    assert found[1][4] == "Its name."


def test_a_schema_that_leads_in_circles_or_is_endless_has_few_rows():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert len(rows({"a": {"$ref": "#/$defs/Node"}}, **{"$defs": {"Node": node}})) == 3
    assert rows({"a": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": {"$ref": "#/$defs/A"}}})[0][1] == "any"
    assert len(rows({f"a{number}": {} for number in range(1_000)})) == MOST_ROWS


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": [1]},
        {"properties": {"a": {"enum": 5, "type": 7, "anyOf": "x", "items": [1]}}},
        {
            "properties": {"a": {"type": ["array"], "items": 3, "description": 4, "default": {"x": ["y" * 500]}}},
            "required": 2,
        },
        {"properties": {"a": {"$ref": 5}, "b": {"$ref": "http://elsewhere/#/x"}, "c": {"$ref": "#/properties/c/x/y"}}},
    ],
)
def test_no_form_of_a_schema_is_trusted(schema):
    for row in arguments_in(schema):
        assert all(len(str(each)) < 700 for each in row)
