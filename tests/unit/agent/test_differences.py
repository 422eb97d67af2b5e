"""Differences between two results of a read, as people are shown them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.agent.tools.differences import LONGEST_VALUE, differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, ["b[1]: 2 → 3"]),
        ({"a": 1}, {"b": 2}, ["a: removed: 1", "b: added: 2"]),
        ([1], [1, {"x": 0}], ['[1]: added: {"x": 0}']),
        ({"rows": [{"total": 5}]}, {"rows": [{"total": "5"}]}, ['rows[0].total: 5 → "5"']),
        ({"open": True}, {"open": 1}, ["open: true → 1"]),
        (1, 1.0, []),
        ("yes", "no", ['"yes" → "no"']),
        ({"a": None}, {}, ["a: removed: null"]),
    ],
)
def test_each_changed_value_is_a_line_with_its_path(before, after, lines):
    assert list(differences(before, after)) == lines


def test_a_long_text_is_shown_where_it_differs():
    text = "all is well. " * 500
    line = next(differences({"text": text + "Pay Ada."}, {"text": text + "Pay Eve."}))
    assert "Pay Ada." in line
    assert "Pay Eve." in line
    assert len(line) < 3 * LONGEST_VALUE


def test_values_below_many_levels_are_compared_as_one():
    before: list = [1]
    after: list = [2]
    for _ in range(200):
        before, after = [before], [after]
    assert len(list(differences(before, after))) == 1


@given(JSON, JSON)
def test_values_have_no_difference_exactly_when_they_are_the_same_json(before, after):
    assert (not list(differences(before, after))) == (
        json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    )
    assert list(differences(before, before)) == []
