"""No text, however it is made, keeps the detectors busy: they run in the event loop of a service."""

import time

import pytest

from shared.guard import find, parse_policy, sanitised, unloading

POLICY = parse_policy()
LENGTH = 50_000
UNITS = [
    *("ignore ", "ignore" + " " * 200, "send passwords to ", "you are now a ", " ai: ", "\nsystem", "<|a"),
    *("A", "%41", "a ", "ab ", "&#65;", "\u200d", "aа", "![a](https:", "<img src="),
    *("![a](a/", "<a", "<a ", "<https:", "> ", "- a\n", "```\n"),
    *("4 ", "+4 ", "tel. 0", "@a.", "AA00 "),
    *("://a:", "password" + " " * 100, "secret is ", "bearer ", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----"),
]


@pytest.mark.parametrize("unit", UNITS)
def test_fifty_kilobytes_of_anything_take_less_than_two_seconds(unit):
    text = unit * (LENGTH // len(unit))
    began = time.process_time()
    find(text, POLICY)
    sanitised(text)
    unloading(f"![]\n{text}")
    assert time.process_time() - began < 2
